package server

import (
	"fmt"
	"net"
	"strconv"
)

// banner tells a person what to open and what to point here.
func (s *server) banner(a net.Addr) {
	if s.o.Banner == nil {
		return
	}
	host := "localhost:9095"
	if tcp, ok := a.(*net.TCPAddr); ok {
		host = "localhost:" + strconv.Itoa(tcp.Port)
		if !tcp.IP.IsUnspecified() {
			host = tcp.String()
		}
	}
	scheme := "http"
	if s.o.WebConfigFile != "" {
		scheme = "http(s)"
	}
	fmt.Fprintf(s.o.Banner, `
Chiron is ready.

  open            %[1]s://%[2]s/
  what is odd     curl '%[1]s://%[2]s/api/v1/query?query=anomaly_score'
  Prometheus      remote_write: [{ url: %[1]s://%[2]s/api/v1/write, protobuf_message: io.prometheus.write.v2.Request }]
  Grafana         add a Prometheus data source with the URL %[1]s://%[2]s
`, scheme, host)
	if s.remediation != nil {
		fmt.Fprintf(s.o.Banner, "  Alertmanager    webhook_configs: [{ url: %s://%s/api/v1/alertmanager/webhook }]\n", scheme, host)
	}
	fmt.Fprintln(s.o.Banner)
}
