// Package redistest starts real Redis servers for tests: one alone, a Cluster of
// three masters, a master with replica and Sentinel. It counts the commands that
// clients sent, and loses replies on the way where a test wants that.
//
//	server := redistest.Start(t)
//	index := queue.NewRedis(server.Client(t), "refresher", 1)
//	sent := server.MonitorCommands(t, func() { _, _ = index.Claim(...) })
//
// Servers listen on loopback, keep their files in the test's own folder, persist
// nothing, and are stopped by the test's cleanup, each through its own process.
// It needs the program redis-server, 7.0 or later, and fails the test without it.
//
// Everything a test does not end itself is ended by its cleanup. The functions
// may be called from several goroutines, but those that take a testing.TB fail
// that test with FailNow, so they belong to its own goroutine.
package redistest
