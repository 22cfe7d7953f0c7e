// Command detection runs models over public series with labelled anomalies and
// scores them as their benchmarks do: NAB's windows and sigmoid, VUS and AUC,
// and event-wise precision, recall and delay. It runs them over generated series
// with known incidents as well, and chooses constants on both.
//
//	go run ./bench/detection -data DIR                   a table a data set, and a summary
//	go run ./bench/detection -data DIR -model auto,mad   of these models only
//	go run ./bench/detection scenarios -model auto       on generated series with known incidents
//	go run ./bench/detection tune -data DIR -eval        the objective by which constants are chosen
//	go run ./bench/detection plot -data DIR -file nab-dev/data/….csv -model auto -out plot.svg
//	go run ./bench/detection gallery -data DIR           the pictures of docs/models.md
//
// Models run as in a rule: one configuration for all files, one pass, each
// score given before the next point is seen. The data is not part of this
// repository; docs/models.md says where each set comes from.
package main
