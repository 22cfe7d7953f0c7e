// Package tsdbcache is the ring: a fixed piece of memory that holds the newest
// samples of all series and answers PromQL over them.
//
// It promises a hard size (the pages are mapped once and never grow), that a
// committed transaction is seen whole or not at all and survives a killed
// process, and that every value comes back bit for bit. When the pages are
// used up the oldest closed chunk goes first. It knows nothing of protocols,
// rules or HTTP.
//
// # Layout
//
//	wire key --xxh3--> successor of the series before it, else table of keys
//	                        |
//	                        v  reference = slot + generation
//	 entry (64 B, one line)  newest time and value, wire hash, next, pages
//	 cold  (20 B)            where its labels are, state
//	                        |
//	      raw --------------+------ head -> chunk -> chunk -> tail = open
//	       |                          |
//	 +-----v-------+   seal     +-----v-------+
//	 | st          | ---------> | blocks of   |   pages of 256 bytes in one
//	 | 18 times    | 18 samples | 18 samples, |   mapping; with Dir a file, so
//	 | 18 values   | at once    | packed      |   a store is already durable
//	 +-------------+            +-------------+
//
//	free pages <-- evicted -- queue of closed chunks, oldest first
//
// A series appends into its raw page; a full one is packed, block by block,
// into its open packed page (codec.go). Histograms are records in a chain of
// pages (histogram.go) that is closed and evicted as one chunk. Samples that are
// not newer than the newest of their series go to chunks of late samples, in
// order of arrival, and are merged when read. Page headers are in page.go,
// the logs in recordlog.go and serieslog.go, the start in recover.go, restore.go
// and pagefile.go.
//
// # Visibility
//
// A Select notes under the read lock, for every series it finds, the newest
// time and the number of late samples, as they were when the querier was made
// (snapshot.go). It then copies the pages of one series at a time and cuts
// what came later, so no Select of a querier sees a part of a later commit,
// however the samples were moved meanwhile. What is evicted between is missing;
// edge.go makes answers say so. Costly matchers run without the lock.
//
// # Ownership and locks
//
// Lock order: DB.syncMu or tap.deciding, DB.mu, then any one of txSet.mu, symbols.mu, tapQueue.mu, snapshots.mu.
//
//   - DB.mu guards pages, chunks, index, logs, counters. Commit and Create hold
//     it for writing; queries hold it for reading and only to note and to copy.
//   - Lookup and Symbol take no lock in the steady state: the hash, generation
//     and successor of an entry are atomics, tables are replaced as a whole.
//   - DB.syncMu is held while files are forced to disk, without DB.mu.
//   - tapQueue.mu guards what waits in a tap and the list of new series that it
//     has still to judge; the write path only pushes to both.
//   - tap.deciding is held while a drainer judges new series: regular
//     expressions run under it and under no other lock.
//   - snapshots.mu is for queriers that hold DB.mu for reading.
//
// Tables without pointers (entries, labels, hash tables) lie off the heap, see
// offheap.go: about 140 bytes a series. Symbols and posting lists are on it.
//
// A slot or symbol is used again only after every transaction and querier that
// was open when it was dropped has ended (txSet), so a reference in the hands
// of one of these still means the same series: it is stale, or it is followed.
package tsdbcache
