package lang

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkLoad(b *testing.B) {
	for _, rules := range []int{10, 1000} {
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("groups:\n  - name: g\n    rules:\n")
			for i := range rules {
				fmt.Fprintf(&text, "      - anomaly: A%d\n        expr: sum by (service) (rate(requests%d_total[5m]))\n        model: seasonal(1d) + mad\n        direction: above\n        alert: {for: 5m}\n", i, i)
			}
			content := []byte(text.String())
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, problems := Load("f.yaml", content); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}
