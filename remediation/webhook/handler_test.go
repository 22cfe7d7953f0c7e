package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const one = `{"version":"4","groupKey":"{}:{}","truncatedAlerts":3,"status":"firing","receiver":"r","notification_reason":"first notification",
"alerts":[{"status":"firing","labels":{"alertname":"X"},"annotations":{"a":"b"},"startsAt":"2026-11-23T10:00:00.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"u","fingerprint":"f"}]}`

func TestDecode(t *testing.T) {
	f := func(body, wantErr string) {
		t.Helper()
		_, err := Decode([]byte(body))
		if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%.60s: err = %v, want %q", body, err, wantErr)
		}
	}
	f(one, "")
	f(strings.Replace(one, `"4"`, `"3"`, 1), "payload version")
	f(`{}`, "payload version")
	f(`{"version":"4"}`, "")
	f(`{"version":"4","alerts":null}`, "")
	f(`{"version":"4"`, "cannot read the JSON")
	f(`{"version":"4"} x`, "cannot read the JSON")
	f(`[]`, "cannot read the JSON")
	f("{\"version\":\"4\",\"receiver\":\"\xff\"}", "not UTF-8")
	f(`{"version":"4","x":`+strings.Repeat("[", 17)+strings.Repeat("]", 17)+`}`, "nested deeper")
	f(`{"version":"4","x":"`+strings.Repeat("[", 99)+`\"[["}`, "")
	f(strings.Replace(one, "firing\",\"labels", "burning\",\"labels", 1), "unknown status")
	f(strings.Replace(one, `{"alertname":"X"}`, `{}`, 1), "no labels")
	f(strings.Replace(one, `"startsAt":"2026-11-23T10:00:00.123Z",`, ``, 1), "no startsAt")
	f(strings.Replace(one, "2026-11-23T10", "today", 1), "cannot read the JSON")
	f(strings.Replace(one, `firing","labels"`, `resolved","labels"`, 1), "endsAt is before startsAt")
}

func TestHandler(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var recorded []*Delivery
	broken := false
	h, err := New(Options{Tokens: []string{"first-token", "second-token"}, TokenFiles: []string{file}, MaxBody: 2000, Record: func(_ context.Context, d *Delivery) error {
		if broken {
			return errors.New("disk full")
		}
		recorded = append(recorded, d)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := func(method, auth, contentType, body string, want int) {
		t.Helper()
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.Header.Set("Authorization", auth)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		n := len(recorded)
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s %q %q: %d %s, want %d", method, auth, contentType, w.Code, w.Body, want)
		}
		if (w.Code == http.StatusOK) != (len(recorded) == n+1) {
			t.Errorf("answered %d with %d on record", w.Code, len(recorded)-n)
		}
	}
	const js, ok = "application/json", "Bearer first-token"
	f("POST", ok, js, one, 200)
	f("POST", "bearer second-token", "application/json; charset=utf-8", one, 200)
	f("POST", "Bearer from-file", js, one, 200)
	f("POST", "", js, one, 401)
	f("POST", "Bearer", js, one, 401)
	f("POST", "Bearer first-toke", js, one, 401)
	f("POST", "Basic first-token", js, one, 401)
	f("GET", "", js, "", 401)
	f("GET", ok, js, "", 405)
	f("POST", ok, "text/plain", one, 415)
	f("POST", ok, "", one, 415)
	f("POST", ok, js, "{", 400)
	f("POST", ok, js, strings.Repeat(" ", 2001), 413)
	if err := os.WriteFile(file, []byte("changed-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("POST", "Bearer from-file", js, one, 401)
	f("POST", "Bearer changed-token", js, one, 200)
	broken = true
	f("POST", ok, js, one, 503)
	if d := recorded[0]; d.Truncated != 3 || d.Alerts[0].Labels["alertname"] != "X" || d.ReceivedAt.IsZero() {
		t.Errorf("recorded %+v", d)
	}
}

func TestNewNeedsAuthentication(t *testing.T) {
	for _, o := range []Options{{}, {Tokens: []string{" "}}, {TokenFiles: []string{"/does/not/exist"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestManyAlertsFitTheDefaultLimit(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"version":"4","alerts":[`)
	for i := range 20_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"status":"firing","labels":{"alertname":"X","pod":"p%d"},"startsAt":"2026-11-23T10:00:00Z"}`, i)
	}
	b.WriteString(`]}`)
	d, err := Decode(b.Bytes())
	if err != nil || len(d.Alerts) != 20_000 || b.Len() > DefaultMaxBody {
		t.Errorf("%d bytes, err %v", b.Len(), err)
	}
}

func FuzzWebhook(f *testing.F) {
	f.Add([]byte(one))
	f.Add([]byte(`{"version":"4","alerts":[{"status":"resolved","labels":{"a":"\ud800"},"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:00:01+23:59"}]}`))
	f.Add([]byte(`{"version":"4","truncatedAlerts":-1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := Decode(body)
		if err != nil {
			return
		}
		text, err := json.Marshal(d) // what is put on record must be readable again
		if err != nil {
			t.Fatalf("a decoded delivery cannot be recorded: %v", err)
		}
		var back Delivery
		if err := json.Unmarshal(text, &back); err != nil || len(back.Alerts) != len(d.Alerts) {
			t.Fatalf("a recorded delivery cannot be read: %v", err)
		}
	})
}
