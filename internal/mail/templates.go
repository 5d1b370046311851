package mail

// shape is what a template has beside its words. Args every template may have: who, at (RFC 3339), browser, network,
// place. A template's own are listed.
type shape struct {
	Link    string   // the argument that holds the link to follow; it must be there
	To      string   // or the path that the link leads to
	Notice  bool     // about the reader's own account: facts, and "this was not me" is the link
	Facts   []string // of the table of facts, in this order
	Code    bool     // the link has a spelling to type (code) and an end (expires)
	Factor  bool     // names a way to sign in (factor, kind)
	Count   bool     // how many are left (left) stands in the words
	Subject bool     // name and version may stand in the words
	Why     string
	Stop    bool   // the link, or a second one (cancel), stops what the message tells
	More    string // the argument that holds a paragraph from the realm file
	File    bool   // a file goes with it (file in base64, file_name)
	Copy    bool   // the text of the terms follows (version, language, hash)
}

var notice = []string{"who", "when", "where"}

// templates are all mails that the product sends.
var templates = map[string]shape{
	"invitation":          {Link: "link", Code: true, Why: "invited"},
	"invitation-reminder": {Link: "link", Code: true, Why: "invited"},
	"password-reset":      {Link: "link", Code: true, Facts: []string{"when", "where"}, Why: "asked"},
	"password-changed":    {Notice: true, Facts: notice, Why: "safety"},
	"factor-added":        {Notice: true, Facts: notice, Factor: true, Why: "safety"},
	"factor-removed":      {Notice: true, Facts: notice, Factor: true, Why: "safety"},
	"factor-replaced":     {Notice: true, Facts: notice, Factor: true, Why: "safety"},
	"factor-suspended":    {Notice: true, Facts: notice, Factor: true, Why: "safety"},
	"factor-resumed":      {Notice: true, Facts: notice, Factor: true, Why: "safety"},
	"recovery-made":       {Notice: true, Facts: notice, Why: "safety"},
	"recovery-used":       {Notice: true, Facts: notice, Count: true, Why: "safety"},
	"signin-new-device":   {Notice: true, Facts: []string{"when", "where"}, Why: "safety"},
	"certificate-twice":   {Notice: true, Facts: []string{"device", "when", "where"}, Subject: true, Why: "safety"},
	"sessions-ended":      {Notice: true, Facts: notice, Why: "safety"},
	"device-connected":    {Notice: true, Facts: []string{"device", "who", "when", "where"}, Subject: true, Why: "safety"},
	"application-removed": {Notice: true, Facts: notice, Subject: true, Why: "safety"},
	"terms-accepted":      {Notice: true, Facts: []string{"version", "language", "when", "where", "hash"}, Why: "copy", Copy: true},
	"setup-complete":      {To: "/console/people", Facts: []string{"person", "when", "where"}, Subject: true, Why: "console"},
	"terms-declined":      {To: "/console/people", Facts: []string{"person", "version", "when", "where"}, Subject: true, Why: "console"},
	"address-already":     {To: "/signin", Why: "invited"},

	"certificate-file":      {Link: "link", Facts: []string{"certificate", "contact", "until"}, Why: "safety"},
	"certificate-attached":  {To: "/help", Facts: []string{"certificate", "contact", "when"}, Why: "safety", File: true},
	"certificate-fetched":   {Notice: true, Facts: []string{"certificate", "when", "where"}, Why: "safety"},
	"certificate-withdrawn": {Notice: true, Facts: []string{"certificate", "who", "when"}, Why: "safety"},
	"certificate-renewed":   {Notice: true, Facts: []string{"certificate", "until", "who", "when", "where"}, Why: "safety"},
	"certificate-enrolled":  {Notice: true, Facts: []string{"certificate", "until", "who", "when", "where"}, Why: "safety"},
	"certificate-ending":    {To: "/account/certificates", Facts: []string{"certificate", "until"}, Why: "safety"},
	"certificate-held":      {Notice: true, Facts: []string{"certificate", "who", "when"}, Why: "safety"},
	"certificate-resumed":   {Notice: true, Facts: []string{"certificate", "who", "when"}, Why: "safety"},
	"certificate-contact":   {To: "/console/people", Facts: []string{"person", "certificate", "who", "when"}, Why: "console"},

	"request-asked":        {To: "/help/requests", Facts: []string{"number", "about", "when", "where"}, Why: "asked-help"},
	"request-opened":       {Link: "cancel", Stop: true, Facts: []string{"who", "reason", "number", "when", "where"}, Why: "safety"},
	"request-checked":      {Link: "cancel", Stop: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"request-check-failed": {Link: "cancel", Stop: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"request-seconded":     {Link: "cancel", Stop: true, Facts: []string{"who", "reason", "number", "when"}, Why: "safety"},
	"request-answered":     {Notice: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"request-alone":        {Link: "link", Stop: true, Facts: []string{"number", "when", "where"}, Why: "safety"},
	"request-approved":     {Link: "link", Code: true, Stop: true, Facts: []string{"who", "number", "from", "when"}, Why: "safety"},
	"request-refused":      {Notice: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"request-cancelled":    {Notice: true, Facts: []string{"who", "number", "when", "where"}, Why: "safety"},
	"account-frozen":       {To: "/help/frozen", Facts: []string{"number", "when", "where"}, Why: "safety"},
	"account-disabled":     {To: "/help/request", Facts: []string{"who", "reason", "when"}, Why: "safety"},
	"account-enabled":      {Notice: true, Facts: notice, Why: "safety"},

	"details-changed":      {Notice: true, Facts: notice, Why: "safety"},
	"role-changed":         {Notice: true, Facts: []string{"role", "who", "reason", "when"}, Why: "safety"},
	"role-changed-console": {To: "/console/people", Facts: []string{"person", "role", "who", "reason", "when"}, Subject: true, Why: "console"},
	"account-deleted":      {To: "/help/request", Facts: []string{"who", "reason", "when"}, Why: "safety"},
	"activation-confirmed": {Notice: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"activation-ended":     {Notice: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"activation-rejected":  {Notice: true, Facts: []string{"who", "number", "when"}, Why: "safety"},
	"activation-locked":    {To: "/console/people", Facts: []string{"who", "person", "number", "when"}, Subject: true, Why: "console"},

	"privileged-invited-console": {To: "/console/people", Facts: []string{"person", "role", "who", "when"}, Subject: true, Why: "console"},

	"rollout-announced": {To: "/account", Facts: []string{"rollout", "until"}, More: "about-rollout", Why: "rollout"},
	"rollout-reminder":  {To: "/account", Facts: []string{"rollout", "until"}, More: "about-rollout", Why: "rollout"},
	"rollout-stranded":  {To: "/account/administrators", Facts: []string{"rollout", "until"}, More: "about-rollout", Why: "rollout"},
	"exemption-started": {Notice: true, Facts: []string{"exempt", "until", "who", "reason", "when"}, Why: "safety"},
	"exemption-used":    {Notice: true, Facts: []string{"exempt", "until", "when", "where"}, Why: "safety"},
	"exemption-ended":   {Notice: true, Facts: []string{"exempt", "who", "when"}, Why: "safety"},

	"exemption-proposed":        {To: exemptions, Facts: []string{"person", "exempt", "who", "reason", "when"}, Subject: true, Why: "console"},
	"exemption-started-console": {To: exemptions, Facts: []string{"person", "exempt", "until", "who", "reason", "when"}, Subject: true, Why: "console"},
	"exemption-used-console":    {To: exemptions, Facts: []string{"person", "exempt", "until", "when", "where"}, Subject: true, Why: "console"},
	"exemption-ended-console":   {To: exemptions, Facts: []string{"person", "exempt", "who", "when"}, Subject: true, Why: "console"},
	"organization-changed":      {To: "/account/administrators", Facts: []string{"who", "when"}, Subject: true, Why: "console"},
	"organization-disabled":     {To: "/help/request", Facts: []string{"who", "reason", "when"}, Subject: true, Why: "console"},
	"organization-enabled":      {To: "/console/people", Facts: []string{"who", "reason", "when"}, Subject: true, Why: "console"},

	"request-task":              {To: inbox, Facts: []string{"person", "about", "number", "when", "where"}, Subject: true, Why: "console"},
	"request-opened-console":    {To: inbox, Facts: asked, Subject: true, Why: "console"},
	"request-approved-console":  {To: inbox, Facts: asked, Subject: true, Why: "console"},
	"request-refused-console":   {To: inbox, Facts: asked, Subject: true, Why: "console"},
	"request-cancelled-console": {To: inbox, Facts: asked, Subject: true, Why: "console"},
	"request-second":            {To: inbox, Facts: asked, Subject: true, Why: "console"},
	"request-alarm":             {To: inbox, Facts: []string{"person", "number", "when"}, Subject: true, Why: "console"},
	"certificate-twice-console": {To: "/console/people", Facts: []string{"person", "device", "when", "where"}, Subject: true, Why: "console"},
	"account-frozen-console":    {To: inbox, Facts: []string{"person", "number", "when", "where"}, Subject: true, Why: "console"},

	"certificate-renewed-console":  {To: "/console/people", Facts: []string{"person", "certificate", "when"}, Subject: true, Why: "console"},
	"certificate-enrolled-console": {To: "/console/people", Facts: []string{"person", "certificate", "who", "when"}, Subject: true, Why: "console"},
	"certificate-ending-console":   {To: "/console/people", Facts: []string{"person", "certificate", "until"}, Subject: true, Why: "console"},
	"certificate-ended-console":    {To: "/console/people", Facts: []string{"person", "certificate", "when", "where"}, Subject: true, Why: "console"},
}

// inbox is where requests are looked after, and asked what a mail about one says.
const inbox = "/console/requests"

// exemptions is where those that live are ended, and those that are proposed get their second.
const exemptions = "/console/exemptions"

var asked = []string{"person", "who", "reason", "number", "when"}

// Notice reports whether a template tells its reader about their own account, and has a link to say "this was not me".
func Notice(template string) bool { return templates[template].Notice }

// Known reports whether there is such a template.
func Known(template string) bool { _, ok := templates[template]; return ok }
