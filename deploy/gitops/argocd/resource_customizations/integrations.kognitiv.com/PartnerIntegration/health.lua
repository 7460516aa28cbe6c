-- The health of a PartnerIntegration: the same judgement as kstatus makes, in Argo CD's words. A status that is about an
-- older spec says nothing yet; Stalled needs a person; Reconciling waits or tries again by itself.
local status = obj.status or {}
local generation = (obj.metadata or {}).generation
if status.observedGeneration == nil or status.observedGeneration ~= generation then
  return { status = "Progressing", message = "The operator has not looked at this spec yet." }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is_true(condition)
  return condition ~= nil and condition.status == "True"
end
local function says(health, condition)
  local message = condition.message or ""
  return { status = health, message = (condition.reason or "Unknown") .. ": " .. message }
end

if is_true(conditions.Stalled) then
  return says("Degraded", conditions.Stalled)
end
if is_true(conditions.Reconciling) then
  return says("Progressing", conditions.Reconciling)
end
if is_true(conditions.Ready) then
  if conditions.Ready.reason == "Suspended" then
    return says("Suspended", conditions.Ready)
  end
  return says("Healthy", conditions.Ready)
end
if conditions.Ready ~= nil then
  return says("Progressing", conditions.Ready)
end
return { status = "Progressing", message = "The status has no Ready condition yet." }
