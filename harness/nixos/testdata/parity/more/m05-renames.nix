# mkRemoved (unused), mkRenamedOptionModuleWith, mkMergedOptionModule, mkAliasOptionModuleMD, mkAliasDefinitions.
{ config, lib, options, ... }:
with lib;
{
  imports = [
    (mkRemovedOptionModule [ "old" "gone" ] "Use something else.")
    (mkRenamedOptionModuleWith { sinceRelease = 2411; from = [ "old" "wit" ]; to = [ "new" "wit" ]; })
    (mkMergedOptionModule [ [ "old" "a" ] [ "old" "b" ] ] [ "new" "ab" ] (c: "${getAttrFromPath [ "old" "a" ] c}-${getAttrFromPath [ "old" "b" ] c}"))
    (mkAliasOptionModuleMD [ "alias" "md" ] [ "new" "md" ])
    (doRename { from = [ "dr" ]; to = [ "new" "dr" ]; visible = true; warn = false; use = x: x; })
  ];
  options.new = {
    wit = mkOption { type = types.listOf types.str; default = [ ]; };
    ab = mkOption { type = types.str; default = ""; };
    md = mkOption { type = types.attrsOf types.int; default = { }; };
    dr = mkOption { type = types.int; default = 0; };
    copy = mkOption { type = types.listOf types.str; default = [ ]; };
  };
  config = {
    old.wit = mkForce [ "x" ];
    old.a = "A"; old.b = "B";
    alias.md.one = 1;
    new.md.two = 2;
    dr = 4;
    new.copy = mkAliasDefinitions options.new.wit;
    environment.etc.md.text = toString config.alias.md.two;
  };
}
