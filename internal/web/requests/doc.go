// Package requests is where people without a session ask for help and stop what should not happen: the pages behind the
// links of mails, and the request form.
//
//   - GET changes nothing. Mail scanners open links, run scripts and post forms that they find (SEC A-1): what stops or
//     freezes needs a box ticked by hand as well.
//   - A page says in words what will happen before it happens, and afterwards what has happened. The page behind a link
//     shows what is true now, so that reload, Back and a second click show the same.
//   - Whether an address is known changes nothing in an answer (REQ B59).
package requests
