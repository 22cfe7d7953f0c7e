package server

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/config"
)

// checkAuthentication reads who may connect: --web.config.file, then the web
// section.
func (s *server) checkAuthentication(cfg *config.Config) error {
	if s.o.WebConfigFile != "" {
		if err := web.Validate(s.o.WebConfigFile); err != nil {
			return fmt.Errorf("cannot use --web.config.file: %w", err)
		}
	}
	who, err := readWebConfig(s.o.WebConfigFile)
	if err != nil {
		return err
	}
	if s.tokens, err = newTokens(cfg.Web, s.logger.With("part", "http"), time.Now); err != nil {
		return err
	}
	if s.tokens != nil && who.passwords {
		return errors.New("cannot ask for a password and for a bearer token in one header: give basic_auth_users in --web.config.file, or bearer tokens in the web section")
	}
	if s.tokens != nil && !who.tls {
		s.logger.Warn("bearer tokens can be read on the wire: give tls_server_config in --web.config.file, or let a proxy do TLS")
	}
	return nil
}

// guarded reports whether nobody unknown can ask: every request is
// authenticated, or only this machine can connect.
func (s *server) guarded() bool {
	if s.loopback || s.tokens != nil {
		return true
	}
	who, err := readWebConfig(s.o.WebConfigFile)
	return err == nil && (who.passwords || who.certificates)
}

// webConfig is what the web configuration asks of clients.
type webConfig struct {
	tls          bool
	passwords    bool // basic auth
	certificates bool // client certificates, verified
}

func readWebConfig(file string) (webConfig, error) {
	if file == "" {
		return webConfig{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return webConfig{}, fmt.Errorf("cannot read --web.config.file: %w", err)
	}
	var c struct {
		TLS struct {
			CertFile   string `yaml:"cert_file"`
			Cert       string `yaml:"cert"`
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return webConfig{}, fmt.Errorf("cannot read --web.config.file: %w", err)
	}
	return webConfig{
		tls: c.TLS.CertFile+c.TLS.Cert != "", passwords: len(c.Users) > 0, certificates: c.TLS.ClientAuth == "RequireAndVerifyClientCert",
	}, nil
}
