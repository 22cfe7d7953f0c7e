package remotewrite

import (
	"fmt"
	"mime"
	"strings"
)

// Protocol is a version of the message.
type Protocol uint8

// The versions, and the zero value for a message of neither.
const (
	Unknown Protocol = iota
	V1
	V2
)

// Headers of the protocol, in canonical form.
const (
	VersionHeader           = "X-Prometheus-Remote-Write-Version"
	SamplesWrittenHeader    = "X-Prometheus-Remote-Write-Samples-Written"
	HistogramsWrittenHeader = "X-Prometheus-Remote-Write-Histograms-Written"
	ExemplarsWrittenHeader  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

const (
	mediaType = "application/x-protobuf"
	protoV1   = "prometheus.WriteRequest"
	protoV2   = "io.prometheus.write.v2.Request"
)

// String returns "1.0" or "2.0", the words used in metrics and messages.
func (p Protocol) String() string {
	switch p {
	case V1:
		return "1.0"
	case V2:
		return "2.0"
	case Unknown:
	}
	return "unknown"
}

// ContentType is what a sender puts into the Content-Type header.
func (p Protocol) ContentType() string {
	if p == V2 {
		return mediaType + ";proto=" + protoV2
	}
	return mediaType
}

// Version is what a sender puts into VersionHeader.
func (p Protocol) Version() string {
	if p == V2 {
		return "2.0.0"
	}
	return "0.1.0"
}

// Negotiate chooses the message by the Content-Type header:
//
//	absent, application/x-protobuf                               V1
//	application/x-protobuf;proto=prometheus.WriteRequest         V1
//	application/x-protobuf;proto=io.prometheus.write.v2.Request  V2
//
// Blanks, quotes and the case of the media type do not matter. Anything else
// is an error, to be answered 415.
func Negotiate(contentType string) (Protocol, error) {
	switch contentType { // what senders really send, without allocation
	case "", mediaType:
		return V1, nil
	case mediaType + ";proto=" + protoV2:
		return V2, nil
	}
	m, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return Unknown, fmt.Errorf("cannot read content type %.200q: %w", contentType, err)
	}
	if m != mediaType {
		return Unknown, fmt.Errorf("content type %.200q is not %s", m, mediaType)
	}
	proto, ok := params["proto"]
	switch {
	case !ok, proto == protoV1:
		return V1, nil
	case proto == protoV2:
		return V2, nil
	}
	return Unknown, fmt.Errorf("message %.200q is neither %s nor %s", proto, protoV1, protoV2)
}

// CheckEncoding accepts the Content-Encoding that remote write uses: snappy
// in block format, also when the header is absent.
func CheckEncoding(contentEncoding string) error {
	if contentEncoding == "" || strings.EqualFold(contentEncoding, "snappy") {
		return nil
	}
	return fmt.Errorf("content encoding %.200q is not snappy", contentEncoding)
}
