// Package rules runs rule files: Prometheus's record and alert rules as
// Prometheus runs them, and anomaly rules, which have a model for each series,
// for each set of joined inputs, or for all series together.
//
// It promises that a bad file changes nothing, that groups which did not
// change go on undisturbed, and that models survive a restart as if there had
// been none. Groups are Prometheus's own; the loop around them is ours, for a
// third kind of rule has no place in Prometheus's manager.
package rules
