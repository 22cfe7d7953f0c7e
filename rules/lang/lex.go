package lang

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokName
	tokNumber
	tokDuration
	tokPercentage
	tokRate
	tokString
	tokPunct // one of ( ) [ ] , = + &
)

type token struct {
	kind tokenKind
	at   int    // offset in the text, in bytes
	text string // as written
	// The value: a name's or string's text, a number's or percentage's value
	// (5% is 0.05), a duration, a rate's count and duration.
	str string
	num float64
	dur time.Duration
}

// String describes the token for messages.
func (t token) String() string {
	if t.kind == tokEnd {
		return "the end of the text"
	}
	if len(t.text) > 60 {
		return strconv.Quote(strings.ToValidUTF8(t.text[:60], "") + "…")
	}
	if t.kind == tokString {
		return "the text " + t.text
	}
	return strconv.Quote(t.text)
}

// lex splits the text into tokens; the last one is tokEnd.
func lex(text string) ([]token, *ModelError) {
	var tokens []token
	for i := 0; i < len(text); {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
			continue
		}
		t, err := lexOne(text, i)
		if err != nil {
			return nil, err
		}
		t.at = i
		i += len(t.text)
		tokens = append(tokens, t)
	}
	return append(tokens, token{kind: tokEnd, at: len(text)}), nil
}

func lexOne(text string, i int) (token, *ModelError) {
	switch c := text[i]; {
	case strings.IndexByte("()[],=+&", c) >= 0:
		return token{kind: tokPunct, text: text[i : i+1]}, nil
	case isLetter(c):
		end := i
		for end < len(text) && (isLetter(text[end]) || isDigit(text[end])) {
			end++
		}
		return token{kind: tokName, text: text[i:end], str: text[i:end]}, nil
	case isDigit(c) || c == '.' || c == '-':
		return lexQuantity(text, i)
	case c == '"' || c == '\'':
		return lexString(text, i)
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	if r == '/' {
		return token{}, syntaxError(i, "unexpected character '/'; a value that is not a plain word stands in quotes")
	}
	return token{}, syntaxError(i, "unexpected character %q", r)
}

// lexQuantity reads a number, a percentage or a duration. It takes letters and
// digits as far as they go, so that "1dd" is one wrong word, not two words.
func lexQuantity(text string, i int) (token, *ModelError) {
	end := i + 1
	for end < len(text) {
		c := text[end]
		exponent := (c == '+' || c == '-') && (text[end-1] == 'e' || text[end-1] == 'E') && isMantissa(text[i:end-1])
		if !isLetter(c) && !isDigit(c) && c != '.' && !exponent {
			break
		}
		end++
	}
	word := text[i:end]
	if n, ok := parseNumber(word); ok {
		if end < len(text) && text[end] == '/' {
			return lexRate(text, i, end)
		}
		if end < len(text) && text[end] == '%' {
			return token{kind: tokPercentage, text: text[i : end+1], num: n / 100}, nil
		}
		return token{kind: tokNumber, text: word, num: n}, nil
	}
	if d, err := model.ParseDuration(word); err == nil {
		return token{kind: tokDuration, text: word, dur: time.Duration(d)}, nil
	}
	return token{}, syntaxError(i, "%q is neither a number such as 2.5, a percentage such as 5%%, nor a duration such as 1h30m", word)
}

// lexRate reads a number over a duration, of which the slash stands at over.
func lexRate(text string, i, over int) (token, *ModelError) {
	end := over + 1
	for end < len(text) && (isLetter(text[end]) || isDigit(text[end])) {
		end++
	}
	f, ok := parseFrequency(text[i:end])
	if !ok {
		return token{}, syntaxError(i, "%q is no rate such as 1/30d, a number over a duration", text[i:end])
	}
	return token{kind: tokRate, text: text[i:end], num: f.Count, dur: f.Per}, nil
}

func isMantissa(s string) bool {
	return strings.Trim(s, "0123456789.-") == "" && s != ""
}

// parseNumber reads a decimal number; unlike strconv it knows no hexadecimal,
// underscores, Inf or NaN.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// lexString reads "…" with Go's escapes, or '…' with \' and \\ only.
func lexString(text string, i int) (token, *ModelError) {
	quote := text[i]
	end := i + 1
	for ; end < len(text) && text[end] != quote; end++ {
		if text[end] == '\\' {
			end++
		}
	}
	if end >= len(text) {
		return token{}, syntaxError(i, "the string that begins here has no closing %c", quote)
	}
	raw := text[i : end+1]
	s, err := unquote(raw)
	if err != nil {
		return token{}, syntaxError(i, "cannot read the string %s: %v", raw, err)
	}
	return token{kind: tokString, text: raw, str: s}, nil
}

func unquote(raw string) (string, error) {
	if raw[0] == '"' {
		return strconv.Unquote(raw)
	}
	var b strings.Builder
	for i := 1; i < len(raw)-1; i++ {
		if raw[i] == '\\' {
			i++
			if raw[i] != '\'' && raw[i] != '\\' {
				return "", fmt.Errorf(`unknown escape \%c`, raw[i])
			}
		}
		b.WriteByte(raw[i])
	}
	return b.String(), nil
}
