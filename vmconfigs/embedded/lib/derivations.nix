# Helpers around derivations.
{ lib }:
let
  inherit (lib.attrsets) genAttrs;
  show = lib.generators.toPretty { multiline = false; };
in
{
  inherit (builtins) addDrvOutputDependencies unsafeDiscardOutputDependency;

  # Its meta data can be had without evaluating it.
  lazyDerivation =
    given@{
      derivation,
      meta ? null,
      passthru ? { },
      outputs ? [ "out" ],
    }:
    let
      checked =
        if derivation.type or null != "derivation" then
          throw "lazyDerivation: input must be a derivation."
        else if derivation.outputs != outputs then
          throw ''
            lib.lazyDerivation: The derivation ${derivation.name or "<unknown>"} has outputs that don't match the assumed outputs.
            Assumed outputs passed to lazyDerivation: ${show outputs}; actual outputs of the derivation: ${show derivation.outputs}
          ''
        else
          derivation;
    in
    {
      type = "derivation";
      inherit (checked)
        outPath
        outputName
        drvPath
        name
        system
        ;
      inherit outputs;
      meta = given.meta or checked.meta;
    }
    // genAttrs outputs (output: checked.${output})
    // passthru;
  optionalDrvAttr = cond: value: if cond then value else null;
  warnOnInstantiate =
    message: drv:
    drv
    // builtins.mapAttrs (_: lib.trivial.warn message) (
      removeAttrs drv [
        "meta"
        "name"
        "type"
        "outputName"
      ]
    );
}
