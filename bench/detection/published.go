package main

// publishedResults are rows that others have published, in the columns of the
// table, and what must be known to read them.
type publishedResults struct {
	rows  []string
	notes []string
}

// The rows of nab-dev are recomputed from the detectors' outputs, which are
// published with the benchmark, over the same files.
var published = map[string]publishedResults{
	"nab-dev": {
		rows: []string{
			"ARTime *\t78.7\t\t\t68.6\t\t84.7\t\t57 of 59\t115\t",
			"Numenta HTM *\t72.6\t\t\t66.0\t\t77.3\t\t51 of 59\t88\t",
			"CAD OSE *\t70.9\t\t\t67.8\t\t74.4\t\t48 of 59\t36\t",
			"KNN CAD\t66.4\t\t\t54.4\t\t72.5\t\t50 of 59\t133\t",
			"earthgecko Skyline\t61.3\t\t\t51.0\t\t66.3\t\t45 of 59\t116\t",
			"Relative Entropy *\t58.2\t\t\t50.2\t\t63.1\t\t43 of 59\t91\t",
			"Random Cut Forest\t53.8\t\t\t41.1\t\t63.5\t\t49 of 59\t245\t",
			"Twitter ADVec\t49.1\t\t\t35.6\t\t55.9\t\t41 of 59\t152\t",
			"Windowed Gaussian\t40.5\t\t\t20.0\t\t49.9\t\t39 of 59\t227\t",
			"Etsy Skyline\t38.7\t\t\t27.1\t\t45.6\t\t35 of 59\t191\t",
			"Bayesian Changepoint\t28.4\t\t\t16.2\t\t38.4\t\t30 of 59\t203\t",
			"Random\t20.3\t\t\t9.1\t\t31.1\t\t21 of 59\t122\t",
		},
		notes: []string{"* knows the minimum and maximum of the whole file beforehand, which a stream cannot."},
	},
	"kpi-dev": {notes: []string{
		"Published F1 within 7 samples, on all 29 series: Spectral Residual 0.622, SR-CNN 0.771 (H. Ren et al., Time-Series Anomaly Detection Service at Microsoft, KDD 2019).",
	}},
}
