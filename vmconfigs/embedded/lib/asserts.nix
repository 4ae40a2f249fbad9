# Assertions.
{ lib }:
let
  inherit (builtins) all elem filter;
  show = lib.generators.toPretty { };
in
rec {
  assertMsg = ok: message: ok || throw message;
  assertOneOf =
    name: value: allowed:
    assertMsg (elem value allowed) "${name} must be one of ${show allowed}, but is: ${show value}";
  assertEachOneOf =
    name: values: allowed:
    assertMsg (all (
      value: elem value allowed
    ) values) "each element in ${name} must be one of ${show allowed}, but is: ${show values}";
  # What NixOS does with `assertions` and `warnings` before it builds.
  checkAssertWarn =
    assertions: warnings: value:
    let
      failed = filter (a: !a.assertion) assertions;
    in
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.strings.concatMapStringsSep "\n" (a: "- ${a.message}") failed}"
    else
      lib.trivial.showWarnings warnings value;
}
