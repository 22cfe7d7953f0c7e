// Package tune chooses the constants of a detector by a protocol that can be run
// again, and says how far the choice holds on data that it was not made on. It
// knows neither detectors nor data: a constant is a number behind a pointer, and
// a source measures the detector as it is.
//
// The constants that are shipped are the start of every search. It goes from
// knob to knob, tries the values that each one offers, keeps what raises the
// objective, and ends when a round over all knobs brings next to nothing. There
// is one search on all sources; one without each source that may be left out,
// which is then measured; and one on either half of all sources, whose other
// halves are then measured.
//
//	source      chosen on        in-sample           left out
//	kpi         all sources      kpi of that choice
//	            all but kpi                          kpi of that choice
//	kpi half 1  first halves     half 1              half 2, beside the search on second halves
//
// A figure that falls when its source is left out says that constants were
// fitted to it: then fewer of them are wanted, not better ones.
package tune
