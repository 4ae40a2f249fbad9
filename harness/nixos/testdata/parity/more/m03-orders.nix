# mkOrder with numbers, nested mkBefore in mkIf in mkMerge, mkForce with mkOrder, mkOverride numbers.
{ config, lib, ... }:
with lib;
{
  options.o = {
    list = mkOption { type = types.listOf types.str; default = [ "default" ]; };
    text = mkOption { type = types.lines; default = ""; };
    n = mkOption { type = types.int; default = 0; };
    set = mkOption { type = types.attrsOf types.int; default = { d = 1; }; };
    sub = mkOption { type = types.attrsOf (types.attrsOf types.str); default = { }; };
  };
  config = mkMerge [
    { o.list = mkOrder 1500 [ "1500" ]; }
    { o.list = mkOrder 499 [ "499" ]; }
    { o.list = mkMerge [ [ "m1" ] (mkBefore [ "mb" ]) (mkIf true (mkAfter [ "ma" ])) (mkIf false [ "never" ]) ]; }
    (mkIf true (mkMerge [ { o.list = mkIf (config.o.n == 3) (mkOrder 1000 [ "n3" ]); } { o.text = mkAfter "last"; } ]))
    { o.text = mkOrder 100 "first"; }
    { o.text = "mid\n"; }
    { o.n = mkOverride 90 3; }
    { o.n = 4; }
    { o.n = mkDefault 5; }
    { o.n = mkOptionDefault 6; }

    (mkOverride 100 { o.set.a = 1; })
    (mkDefault { o.set.b = 2; o.n = 9; })
    { o.sub.x = mkForce { k = "forced"; }; }
    { o.sub.x.k2 = "lost"; }
    { o.sub.y = mkDefault { k = "d"; }; }
    { o.sub.y.k2 = "wins"; }
    { o.sub.z.k = mkDefault "d"; }
    { o.sub.z.k2 = "both"; }
    { environment.systemPackages = mkForce [ ]; }
  ];
}
