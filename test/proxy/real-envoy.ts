import { findEnvoy } from "../../src/proxy/find-envoy.ts";

function locate(): string | undefined {
  try {
    return findEnvoy(process.env);
  } catch (reason) {
    // Where everything is expected to be installed, a test that does not run is a failure.
    if (process.env.CI) throw reason;
    console.warn(`NOT TESTED: these tests need a real Envoy. ${String(reason)}`);
    return undefined;
  }
}

/** Path of the Envoy binary; undefined where there is none, in which case the tests that need it are skipped, loudly. */
export const realEnvoy = locate();
