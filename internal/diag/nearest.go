package diag

import "fmt"

// Nearest returns the candidate closest to word, or "" when none is close
// enough to be meant. Distance is Damerau-Levenshtein in its restricted form
// (insertion, deletion, substitution, swap of neighbours); a third of the
// word's letters, at least one and at most three, may differ.
func Nearest(word string, candidates []string) string {
	limit := min(max(len(word)/3, 1), 3)
	best, bestDistance := "", limit+1
	for _, c := range candidates {
		if abs(len(c)-len(word)) > limit {
			continue
		}
		if d := distance(word, c); d < bestDistance || (d == bestDistance && best != "" && c < best) {
			best, bestDistance = c, d
		}
	}
	return best
}

// DidYouMean renders `; did you mean "x"?`, or "" when nothing is near.
func DidYouMean(word string, candidates []string) string {
	if n := Nearest(word, candidates); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
