// The rules and keys of a tenant, and the address of a request.
import { read } from "../../kit/api.js";

const MOST = 500; // what one call lists

/** The rules and the keys of a tenant. */
export async function listOf(tenant) {
  const path = `/api/v1/tenants/${encodeURIComponent(tenant)}`;
  const [{ rules }, { api_keys: keys }] = await Promise.all([
    read(`${path}/rules?limit=${MOST}`),
    read(`${path}/api-keys?limit=${MOST}`),
  ]);
  return { rules, keys };
}

/** The page of a request. `id` is one of the list of all tenants, or of one tenant. */
export const requestPath = ({ tenant_id: tenant, id }, isOfAll) =>
  isOfAll || !tenant
    ? `/ui/requests/${encodeURIComponent(id)}`
    : `/ui/tenants/${encodeURIComponent(tenant)}/requests/${encodeURIComponent(id)}`;
