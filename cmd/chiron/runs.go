package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/chironhq/chiron/remediation"
)

func runsCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("runs", "Show what the remediation decided and did, newest first, or one run in full.\n\n"+
		"  chiron runs --policy restart-leaking-pod\n"+
		"  chiron runs RUN")
	server := cmd.Flag("server", "Chiron to ask.").Default("http://localhost:9095").Envar("CHIRON_SERVER").String()
	policy := cmd.Flag("policy", "Only runs of this policy.").String()
	outcome := cmd.Flag("outcome", "Only runs that ended so, or that are in this phase.").String()
	limit := cmd.Flag("limit", "Most runs to show.").Default("50").Int()
	tokenFile := cmd.Flag("bearer-token-file", "Token to authenticate with.").PlaceHolder("FILE").String()
	user := cmd.Flag("basic-auth", "User and password to authenticate with.").PlaceHolder("USER:PASSWORD").Envar("CHIRON_BASIC_AUTH").String()
	id := cmd.Arg("run", "Run to show in full.").String()
	return cmd.FullCommand(), func(ctx context.Context, e env) error {
		c := runsClient{server: strings.TrimRight(*server, "/"), basic: *user}
		if *tokenFile != "" {
			token, err := os.ReadFile(*tokenFile)
			if err != nil {
				return fmt.Errorf("cannot read the token: %w", err)
			}
			c.token = strings.TrimSpace(string(token))
		}
		if *id != "" {
			var run remediation.Run
			if err := c.get(ctx, "/runs/"+url.PathEscape(*id), nil, &run); err != nil {
				return err
			}
			return remediation.RenderRun(e.stdout, &run)
		}
		var runs []*remediation.Run
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		for name, v := range map[string]string{"policy": *policy, "outcome": *outcome} {
			if v != "" {
				query.Set(name, v)
			}
		}
		if err := c.get(ctx, "/runs", query, &runs); err != nil {
			return err
		}
		return remediation.RenderRuns(e.stdout, runs)
	}
}

type runsClient struct{ server, token, basic string }

// get asks the remediation API and decodes the data of its envelope.
func (c runsClient) get(ctx context.Context, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+"/api/v1/remediation"+path+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	if name, password, ok := strings.Cut(c.basic, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask %s: %w; is chiron serve running there, and is --server right?", c.server, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", c.server, err)
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if resp.StatusCode == http.StatusNotFound && json.Unmarshal(body, &answer) != nil {
		return fmt.Errorf("%s has no remediation: its configuration names no policy_files", c.server)
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		if answer.Error == "" {
			answer.Error = strings.TrimSpace(string(body[:min(len(body), 200)]))
		}
		return fmt.Errorf("%s answers %s: %s", c.server, resp.Status, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		return fmt.Errorf("cannot read the answer of %s: %w", c.server, err)
	}
	return nil
}
