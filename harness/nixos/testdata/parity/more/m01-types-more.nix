# Types seldom used.
{ config, lib, pkgs, ... }:
let inherit (lib) mkOption types; in
{
  options.t = {
    u8 = mkOption { type = types.ints.u8; default = 255; };
    u16 = mkOption { type = types.ints.u16; default = 65535; };
    s32 = mkOption { type = types.ints.s32; default = -5; };
    nn = mkOption { type = types.numbers.nonnegative; default = 0.0; };
    npos = mkOption { type = types.numbers.positive; default = 2; };
    nbet = mkOption { type = types.numbers.between 0 1; default = 0.25; };
    nes = mkOption { type = types.nonEmptyStr; };
    sep = mkOption { type = types.separatedString ":"; };
    commas = mkOption { type = types.commas; };
    envv = mkOption { type = types.envVar; };
    lines = mkOption { type = types.lines; };
    attrs = mkOption { type = types.attrs; };
    raw = mkOption { type = types.raw; };
    anything = mkOption { type = types.anything; };
    unspec = mkOption { type = types.unspecified; };
    either = mkOption { type = types.either types.int types.str; };
    oneOf = mkOption { type = types.listOf (types.oneOf [ types.int types.bool (types.listOf types.str) ]); };
    coerced = mkOption { type = types.coercedTo types.int toString types.str; };
    coercedList = mkOption { type = types.coercedTo types.str lib.singleton (types.listOf types.str); };
    fn = mkOption { type = types.functionTo types.int; };
    lazy = mkOption { type = types.lazyAttrsOf types.int; };
    attrsOfList = mkOption { type = types.attrsOf (types.listOf types.int); };
    nullSub = mkOption { type = types.nullOr (types.submodule { options.a = mkOption { type = types.int; default = 1; }; }); default = null; };
    nullSub2 = mkOption { type = types.nullOr (types.submodule { options.a = mkOption { type = types.int; default = 1; }; }); default = null; };
    nonEmptyList = mkOption { type = types.nonEmptyListOf types.str; };
    uniq = mkOption { type = types.uniq types.str; };
    unique = mkOption { type = types.unique { message = "only once"; } types.int; };
    pkg = mkOption { type = types.package; };
    shellPkg = mkOption { type = types.either types.shellPackage types.path; default = "/bin/x"; };
    pathIn = mkOption { type = types.pathInStore; };
    absP = mkOption { type = types.externalPath; default = "/a/b"; };
    passwd = mkOption { type = types.passwdEntry types.str; default = "x"; };
    enum2 = mkOption { type = types.enum [ 1 "two" null true ]; default = 1; };
    boolOr = mkOption { type = types.boolByOr; default = false; };
    oct = mkOption { type = types.strMatching "[0-7]{3,4}"; default = "0755"; };
    deferred = mkOption { type = types.deferredModule; default = { }; };
    inter = mkOption { type = types.addCheck types.int (x: x > 3); default = 4; };
  };
  config = lib.mkMerge [
    { t = {
      nes = "x"; sep = "a"; commas = "one"; envv = "A"; lines = "l1"; attrs = { a = 1; };
      raw = { x = 1; }; anything = { a.b = 1; l = [ 1 ]; }; unspec = 5; either = 5; oneOf = [ 1 true [ "x" ] ];
      coerced = 12; coercedList = "single"; fn = x: x + 1; lazy.a = 1; attrsOfList.a = [ 1 ]; nullSub2 = { };
      nonEmptyList = [ "a" ]; uniq = "u"; unique = 3; pkg = pkgs.curl; pathIn = "${pkgs.curl}/x";
    }; }
    { t = { sep = "b"; commas = "two"; envv = "B"; lines = "l2"; attrs = { b = 2; }; anything = { a.c = 2; };
      lazy.b = 2; attrsOfList.a = [ 2 ]; attrsOfList.b = [ 3 ]; coercedList = [ "x" "y" ]; nullSub2.a = 5; boolOr = true; } ; }
    { t.boolOr = false; }
    { environment.etc.fn.text = toString (config.t.fn 4); }
  ];
}
