// Package egress is the only way out to the providers.
//
// A Client is made once from Settings. It guards what is stored (Guard, before
// anything is sent) and what is dialled (in the dialer, after the name was
// resolved, so that a name which changes its address between two looks gains
// nothing), and it offers two ways to send one request:
//
//   - Client.Do, for calls that may be repeated: connections are kept and used
//     again, the whole call has one time limit, and its context cancels it.
//   - Client.Once, for a rotation, whose request may be sent one time only.
//
// A rotation's request goes this way, once, on a connection of its own:
//
//	dial ──▶ handshake ──▶ Gate ──▶ SendBy ──▶ first byte ──▶ answer
//	└──────── ctx and SendBy cancel ────────┘ └─── Timeout alone ───┘
//
// Both speak HTTP/1.1 and nothing else. There a connection carries one exchange
// at a time, so that whether a byte of a request was sent is a fact and no guess,
// and the kinds of error rest on that fact: credential.KindTransient with
// credential.CodeNotConnected says that nothing was sent, and that nothing will
// be; credential.KindAmbiguous says that something was, or may have been.
// An answer whose head arrived is an Answer, whatever became of its body.
//
// No redirect is followed, no cookie is kept, and the proxies that the
// environment names are ignored. No error shows a URL's path or query, a header,
// a body, or a proxy's password.
//
// One thing cannot be had from net/http: it reports bytes that a server sends
// beyond its answer on a pooled connection to the standard logger, verbatim. The
// program must not let that logger write anywhere.
package egress
