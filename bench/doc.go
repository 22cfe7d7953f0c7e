// Package bench measures whole paths: request to ring for both remote write
// versions, beside the stock Prometheus handler over its own head in the same
// run. It is not shipped and may import heavy packages.
//
// It promises the same series, times and values for the same arguments, so
// that every side gets equal work. What the figures mean stands in README.md.
package bench
