/** One rule of the rule tree as an Envoy RBAC policy: its permissions and its principals (Istio, pilot/pkg/security/authz/model). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
  RBAC_Action,
} from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { HeaderMatcherSchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { UriTemplateMatchConfigSchema } from "../../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts";
import type { StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import type { Cidr } from "../../lib/ip.ts";
import type { Condition, TextMatch } from "../../mesh/authorization-condition.ts";
import type { Alternative, AuthorizationRule } from "../../mesh/authorization-rule.ts";
import { packAny } from "../encode.ts";
import { anyOf, claimMatcher, metadataMatcher, oneOf, type Value } from "./claim.ts";

export function rbacAction(slot: "audit" | "deny" | "allow"): RBAC_Action {
  return { audit: RBAC_Action.LOG, deny: RBAC_Action.DENY, allow: RBAC_Action.ALLOW }[slot];
}

export function rbacPolicy(rule: AuthorizationRule): Policy {
  return create(PolicySchema, {
    permissions: rule.permissions.map((alternative) => permissionOf(alternative)),
    principals: rule.principals.map((alternative) => principalOf(alternative)),
  });
}

function permissionOf(alternative: Alternative): Permission {
  const rules = alternative.map(({ negated, conditions }) => {
    const any = permission({ case: "orRules", value: { rules: conditions.map(permissionCondition) } });
    return negated ? permission({ case: "notRule", value: any }) : any;
  });
  return rules.length > 0 ? permission({ case: "andRules", value: { rules } }) : permission({ case: "any", value: true });
}

function principalOf(alternative: Alternative): Principal {
  const ids = alternative.map(({ negated, conditions }) => {
    const any = principal({ case: "orIds", value: { ids: conditions.map(principalCondition) } });
    return negated ? principal({ case: "notId", value: any }) : any;
  });
  return ids.length > 0 ? principal({ case: "andIds", value: { ids } }) : principal({ case: "any", value: true });
}

function permissionCondition(condition: Condition): Permission {
  switch (condition.kind) {
    case "destination-ip":
      return permission({ case: "destinationIp", value: cidrRange(condition.cidr) });
    case "destination-port":
      return permission({ case: "destinationPort", value: condition.port });
    case "sni":
      return permission({ case: "requestedServerName", value: stringMatcher(condition.match) });
    case "header":
      return permission({ case: "header", value: headerMatcher(condition.name, condition.match) });
    case "path":
      return permission({ case: "urlPath", value: { rule: { case: "path", value: stringMatcher(condition.match) } } });
    case "path-template": {
      const template = create(UriTemplateMatchConfigSchema, { pathTemplate: condition.template });
      const typedConfig = packAny(UriTemplateMatchConfigSchema, template);
      return permission({ case: "uriTemplate", value: { name: "envoy.path.match.uri_template.uri_template_matcher", typedConfig } });
    }
    case "metadata": {
      const value = stringValue(condition.match);
      const matcher = metadataMatcher(condition.filter, [condition.key], condition.list ? oneOf(value) : value);
      return permission({ case: "sourcedMetadata", value: { metadataMatcher: matcher } });
    }
    default:
      return never(condition.kind);
  }
}

function principalCondition(condition: Condition): Principal {
  switch (condition.kind) {
    case "principal":
      return principal({ case: "authenticated", value: { principalName: stringMatcher(condition.match) } });
    case "source-ip":
      return principal({ case: "directRemoteIp", value: cidrRange(condition.cidr) });
    case "remote-ip":
      return principal({ case: "remoteIp", value: cidrRange(condition.cidr) });
    case "header":
      return principal({ case: "header", value: headerMatcher(condition.name, condition.match) });
    case "request-principal": {
      const ids = [claim(["iss"], stringValue(condition.issuer)), claim(["sub"], stringValue(condition.subject))];
      return principal({ case: "andIds", value: { ids } });
    }
    case "claim": {
      return claim(condition.path, anyOf(stringValue(condition.match)));
    }
    default:
      return never(condition.kind);
  }
}

function claim(path: readonly string[], value: Value): Principal {
  return principal({ case: "sourcedMetadata", value: { metadataMatcher: claimMatcher(path, value) } });
}

function stringValue(match: TextMatch): Value {
  return { matchPattern: { case: "stringMatch", value: stringMatcher(match) } };
}

/** A condition on the wrong side would be a defect of the rule tree: better no configuration than one with a hole. */
function never(kind: string): never {
  throw new Error(`a ${kind} condition stands on the wrong side of an RBAC policy`);
}

function permission(rule: MessageInitShape<typeof PermissionSchema>["rule"]): Permission {
  return create(PermissionSchema, { rule });
}

function principal(identifier: MessageInitShape<typeof PrincipalSchema>["identifier"]): Principal {
  return create(PrincipalSchema, { identifier });
}

function cidrRange({ address, prefixLength }: Cidr) {
  return { addressPrefix: address, prefixLen: prefixLength };
}

function headerMatcher(name: string, match: TextMatch): MessageInitShape<typeof HeaderMatcherSchema> {
  if (match.kind === "present") return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, headerMatchSpecifier: { case: "stringMatch", value: stringMatcher(match) } };
}

function stringMatcher(match: TextMatch): MessageInitShape<typeof StringMatcherSchema> {
  switch (match.kind) {
    case "present":
      return { matchPattern: { case: "safeRegex", value: { regex: ".*" } } };
    case "regex":
      return { matchPattern: { case: "safeRegex", value: { regex: match.value } } };
    default:
      return { matchPattern: { case: match.kind, value: match.value }, ignoreCase: match.ignoreCase };
  }
}
