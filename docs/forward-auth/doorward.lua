-- Asks Doorward whether a request may pass: http-request lua.doorward ADDRESS REALM, where ADDRESS is where Doorward listens
-- and REALM the host name of the realm. Who may pass goes on with the headers of the answer; everybody else gets the answer.

local told = {
  "doorward-assertion", "remote-user", "remote-email", "remote-name", "remote-organization", "remote-groups",
}
local asked = { "cookie", "accept", "sec-fetch-mode", "x-requested-with", "upgrade", "user-agent" }

core.register_action("doorward", { "http-req" }, function(txn, address, realm)
  local headers = {
    ["host"] = { realm },
    ["x-forwarded-for"] = { txn.sf:src() },
    ["x-forwarded-method"] = { txn.sf:method() },
    ["x-forwarded-proto"] = { "https" },
    ["x-forwarded-host"] = { txn.sf:req_hdr("host") },
    ["x-forwarded-uri"] = { txn.sf:pathq() },
  }
  local all = txn.http:req_get_headers()
  for _, name in ipairs(asked) do
    if all[name] then
      local values = {}
      for i = 0, #all[name] do
        values[#values + 1] = all[name][i]
      end
      headers[name] = values
    end
  end

  local client = core.httpclient()
  local answer = client:get { url = "http://" .. address .. "/forward-auth/check", headers = headers, timeout = 5000 }

  if answer and answer.status == 200 then
    for _, name in ipairs(told) do
      txn.http:req_del_header(name)
      if answer.headers[name] then
        txn.http:req_set_header(name, answer.headers[name][0])
      end
    end
    return
  end

  -- No answer lets nobody through.
  local reply = txn:reply { status = 503, body = "This does not work right now. Please try again.\n" }
  if answer and answer.status and answer.status > 0 then
    reply = txn:reply { status = answer.status, body = answer.body or "" }
    for _, name in ipairs({ "location", "www-authenticate", "content-type", "cache-control" }) do
      if answer.headers[name] then
        reply:add_header(name, answer.headers[name][0])
      end
    end
  end
  txn:done(reply)
end, 2)
