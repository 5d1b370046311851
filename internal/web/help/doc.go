// Package help is what people read when they are stuck: articles, guides to authenticators, the clock page. Nothing here
// needs a sign-in, changes anything or tells anybody whether an account exists.
//
// An article is a file content/LANG/SLUG.txt, the same in all languages but for its words. The head, up to a line of
// three dashes, has one "name: value" a line:
//
//	title     of the page
//	lead      one or two sentences below it; also the description in search results
//	group     where it stands on the start page (groups in index.go)
//	version   rises when the content changes in meaning; the same in all languages
//	words     what people type who look for it, besides what stands in the text
//	also      slugs of articles that help further
//	steps     yes: the sections are numbered steps
//	needs     a kind of the policy language (totp, phone, cert, passkey, recovery): shown only where the realm uses it
//	icon      on the start page
//
// The body is made of blocks, divided by blank lines:
//
//	# Heading                        begins a section; "# [ios] Heading" one for that system only, the reader's own is open
//	- item                           a list, each item in one line
//	> text                           a notice; "! text" a warning
//	figure NAME | what it shows | caption     a drawing of ours (figure/NAME.svg), with its text for people who do not see it
//	any other text                   a paragraph
//
// Words may be **strong** or [a link](/path); {realm}, {host}, {phone}, {mail}, {hours} and {managers} stand for what
// the realm's operator has set. A test holds the languages together: same articles, versions, blocks, links and figures.
package help
