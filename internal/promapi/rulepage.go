package promapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// page is which part of the groups is asked for; a zero limit means all.
type page struct {
	limit int
	token string // names the first group of the page
}

func parsePage(r *http.Request) (page, *apiError) {
	limit, token := r.Form.Get("group_limit"), r.Form.Get("group_next_token")
	if limit == "" {
		if token != "" {
			return page{}, invalidParam("group_next_token", errors.New("group_limit needs to be present in order to paginate over the groups"))
		}
		return page{}, nil
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	if err != nil || n <= 0 {
		return page{}, invalidParam("group_limit", fmt.Errorf("%q is not a number greater than 0", limit))
	}
	return page{limit: int(n), token: token}, nil
}

// cut returns the page of groups and the token of the page after it. all are
// the groups before filtering: a token stays good for a group that a filter
// of a later request hides.
func (p page) cut(groups []wireGroup, all []Group) (_ []wireGroup, next string, _ *apiError) {
	if p.limit == 0 {
		return groups, "", nil
	}
	if p.token != "" {
		start := slices.IndexFunc(all, func(g Group) bool { return token(g.File, g.Name) == p.token })
		if start < 0 {
			return nil, "", invalidParam("group_next_token", fmt.Errorf("invalid group_next_token %q: were rule groups changed?", p.token))
		}
		from := all[start]
		groups = slices.DeleteFunc(groups, func(g wireGroup) bool {
			return g.File < from.File || g.File == from.File && g.Name < from.Name
		})
	}
	if len(groups) > p.limit {
		next = token(groups[p.limit].File, groups[p.limit].Name)
		groups = groups[:p.limit]
	}
	return groups, next, nil
}

// token names a group without telling more than the answer does.
func token(file, group string) string {
	sum := sha256.Sum256([]byte(file + ";" + group))
	return hex.EncodeToString(sum[:])
}
