package signin

import (
	"net/http"

	"doorward/internal/web"
)

// Mount adds the routes of this room.
func (d *Door) Mount(s *web.Site, mux *http.ServeMux) {
	s.Handle(mux, "GET /signin", d.address)
	s.Handle(mux, "POST /signin", d.begin)

	s.Handle(mux, "GET /signin/{flow}", d.step)
	s.Handle(mux, "POST /signin/{flow}/prove", d.prove)
	s.Handle(mux, "POST /signin/{flow}/code", d.newCode)
	s.Handle(mux, "GET /signin/{flow}/events", d.events)
	s.Handle(mux, "GET /signin/certificate", d.ticketOver)
	s.Handle(mux, "POST /signin/{flow}/certificate", d.toCertificate)
	s.Handle(mux, "GET /signin/{flow}/certificate/{ticket}", d.fromCertificate)
	s.Handle(mux, "POST /signin/{flow}/anew", d.beginAnew)
	s.Handle(mux, "POST /signin/{flow}/anew/make", d.makeAnew)
	s.Handle(mux, "POST /signin/{flow}/anew/password", d.sayAnew)
	s.Handle(mux, "POST /signin/{flow}/anew/file", d.fileAnew)
	s.Handle(mux, "POST /signin/{flow}/anew/over", d.overAnew)
	s.Handle(mux, "GET /signin/{flow}/ways", d.ways)
	s.Handle(mux, "GET /signin/{flow}/choose", d.authenticators)
	s.Handle(mux, "POST /signin/{flow}/choose", d.choose)
	s.Handle(mux, "GET /signin/{flow}/app", d.app)
	s.Handle(mux, "GET /signin/{flow}/store/{platform}", d.storeCode)
	s.Handle(mux, "GET /signin/{flow}/qr", d.seedCode)
	s.Handle(mux, "POST /signin/{flow}/lost", d.lose)
	s.Handle(mux, "POST /signin/{flow}/found", d.find)
	s.Handle(mux, "GET /signin/{flow}/missing", d.missing)
	s.Handle(mux, "POST /signin/{flow}/missing", d.miss)
	s.Handle(mux, "GET /signin/{flow}/codes", d.sheet)
	s.Handle(mux, "POST /signin/{flow}/alone", d.alone)
	s.Handle(mux, "POST /signin/{flow}/terms", d.accept)
	s.Handle(mux, "GET /signin/{flow}/text", d.termsText)
	s.Handle(mux, "GET /signin/{flow}/decline", d.askDecline)
	s.Handle(mux, "POST /signin/{flow}/decline", d.decline)
	s.Handle(mux, "POST /signin/{flow}/preferences", d.prefer)
	s.Handle(mux, "POST /signin/{flow}/remind", d.remind)
	s.Handle(mux, "POST /signin/{flow}/later", d.later)
	s.Handle(mux, "GET /signin/{flow}/leave", d.askLeave)
	s.Handle(mux, "POST /signin/{flow}/leave", d.leave)

	s.Handle(mux, "GET /signin/done", d.done)
	s.Handle(mux, "GET /signin/declined", d.declined)

	s.Handle(mux, "GET /signin/forgot", d.forgotten)
	s.Handle(mux, "POST /signin/forgot", d.forgot)
	s.Handle(mux, "GET /signin/resend", d.unreceived)
	s.Handle(mux, "POST /signin/resend", d.resend)
	s.Handle(mux, "GET /signin/sent", d.sent)
	s.Handle(mux, "GET /signin/code", d.typedCode)
	s.Handle(mux, "POST /signin/code", d.followTyped)

	s.Handle(mux, "GET /link/{purpose}/{token}", d.peek)
	s.Handle(mux, "POST /link/{purpose}/{token}", d.follow)

	s.HandleBig(mux, "POST /signin/strength", 4<<10, d.strength)

	s.Handle(mux, "GET /signout", d.askSignOut)
	s.Handle(mux, "POST /signout", d.signOut)
	s.Handle(mux, "GET /signout/done", d.signedOut)
}
