// Package rules runs rule files: Prometheus's record and alert rules as
// Prometheus runs them, and anomaly rules, each of whose series has a model.
//
// It promises that a bad file changes nothing, that groups which did not
// change go on undisturbed, and that models survive a restart as if there had
// been none. Groups are Prometheus's own; the loop around them is ours, for a
// third kind of rule has no place in Prometheus's manager.
package rules
