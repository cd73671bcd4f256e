-- Post-dissector for Sluice datagrams (docs/PROTOCOL.md section 1): shows what Wireshark's own ALC dissector leaves as bytes.
-- Load it with: tshark -X lua_script:sluice.lua -d udp.port==PORT,alc ...

local sluice = Proto("sluice", "Sluice link profile")

local CLASSES = { [0] = "live", [1] = "media", [2] = "repair", [3] = "reserved" }

local fields = {
  form = ProtoField.string("sluice.form", "Form"),
  class = ProtoField.uint32("sluice.class", "Session class", base.DEC, CLASSES, 0xC0000000),
  epoch = ProtoField.uint32("sluice.epoch", "Session epoch", base.DEC, nil, 0x3FFFFFFF),
  asid = ProtoField.uint8("sluice.asid", "ASID", base.DEC, nil, 0xF0),
  replay = ProtoField.bool("sluice.anti_replay", "Anti-replay", 8, nil, 0x01),
  sn = ProtoField.uint64("sluice.sn", "Sequence number", base.DEC),
  tag = ProtoField.bytes("sluice.tag", "Tag"),
  instance = ProtoField.uint32("sluice.fdt_instance", "FDT Instance ID", base.DEC, nil, 0x000FFFFF),
  length = ProtoField.uint64("sluice.fti.transfer_length", "Transfer length", base.DEC),
  symbol = ProtoField.uint16("sluice.fti.symbol_bytes", "Encoding symbol length (E)", base.DEC),
  block = ProtoField.uint8("sluice.fti.max_block", "Maximum source block length (B)", base.DEC),
  max_n = ProtoField.uint8("sluice.fti.max_n", "Maximum number of encoding symbols (max_n)", base.DEC),
  time = ProtoField.uint32("sluice.ntp_seconds", "Sender time (NTP seconds modulo 2^32)", base.DEC),
  sbn = ProtoField.uint24("sluice.sbn", "Source block number (SBN)", base.DEC),
  esi = ProtoField.uint8("sluice.esi", "Encoding symbol ID (ESI)", base.DEC),
}
local list = {}
for _, field in pairs(fields) do table.insert(list, field) end
sluice.fields = list

local alc_field = Field.new("alc")
local payload_field = Field.new("udp.payload")

local HEADER_BYTES = 44
local FDT_HEADER_BYTES = 68

-- The fixed bytes of either form; nil when the datagram is not of this profile.
local function form_of(payload)
  if payload:len() < HEADER_BYTES then return nil end
  if payload(0, 2):uint() ~= 0x10A0 or payload(3, 1):uint() ~= 5 or payload(16, 2):uint() ~= 0x0106 then return nil end
  local words = payload(2, 1):uint()
  if words == 10 then return "object" end
  if words == 16 and payload(12, 4):uint() == 0 and payload:len() >= FDT_HEADER_BYTES then return "fdt" end
  return nil
end

function sluice.dissector(_, _, tree)
  if alc_field() == nil or payload_field() == nil then return end
  local payload = payload_field().range
  local form = form_of(payload)
  if form == nil then return end

  local id_at = form == "fdt" and 64 or 40
  local head = tree:add(sluice, payload(0, id_at + 4))
  head:add(fields.form, payload(2, 1), form)
  head:add(fields.class, payload(8, 4))
  head:add(fields.epoch, payload(8, 4))
  head:add(fields.asid, payload(18, 1))
  head:add(fields.replay, payload(18, 1))
  head:add(fields.sn, payload(19, 5))
  head:add(fields.tag, payload(24, 16))
  if form == "fdt" then
    head:add(fields.instance, payload(40, 4))
    head:add(fields.length, payload(46, 6))
    head:add(fields.symbol, payload(52, 2))
    head:add(fields.block, payload(54, 1))
    head:add(fields.max_n, payload(55, 1))
    head:add(fields.time, payload(60, 4))
  end
  head:add(fields.sbn, payload(id_at, 3))
  head:add(fields.esi, payload(id_at + 3, 1))
end

register_postdissector(sluice)
