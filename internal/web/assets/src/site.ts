// The script of all pages. Every page works without it; it shows what only works with script, and never submits a form
// by itself. Elements ask for it by data attributes:
//
//   button[data-reveal=ID data-show data-hide]   shows a password
//   button[data-copy=ID data-done]               copies the text of an element
//   input[data-strength=URL]                     asks the server how strong a new password is
//   [data-until data-total]                      a countdown
//   button[data-wait-until data-wait]            is disabled until a time, its label counting down
//   body[data-events=URL]                        a waiting page that is moved on by the server
//   [data-scroll-end=ID]                         a text whose end was reached ticks a box
//   [data-server-time]                           compares this device's clock with the server's
//   form[data-work=TEXT data-bits]               a proof of work before a form is sent
//   [data-print]                                 prints the page
import { clock } from "./clock";
import { countdowns } from "./countdown";
import { copying, printing, revealing, strength } from "./forms";
import { live } from "./live";
import { proving } from "./proof";
import { terms } from "./terms";

document.getElementById("error-summary")?.focus();
revealing();
copying();
printing();
strength();
proving();
countdowns();
terms();
clock();
live();
