// Package refresherstest holds the one suite that every method of every provider
// passes, and the stand-ins for the way to a provider that tests need.
//
//	func TestConformance(t *testing.T) {
//		refresherstest.Run(t, refresherstest.Subject{
//			Method:     bookeo.Methods(bookeo.DefaultSettings())[0],
//			Credential: stored,
//			Success:    []refreshers.Answer{refresherstest.JSON(200, `{"accountId":"…"}`)},
//			…
//		})
//	}
//
// The suite scripts what a provider answers; nothing goes over a network. What a
// good answer looks like comes from the Subject, every kind of bad one from the
// suite, in the place of each of the method's requests in turn. It proves the
// contract of refreshers.Refresher: which kind of error follows, that a rotation
// is sent once and judged without a clock, that requests depend on the Call
// alone, and that no output shows a secret or anything of an answer's body.
// What is peculiar to a provider stands in tests of its own folder.
package refresherstest
