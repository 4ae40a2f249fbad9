# lib.lists, lib.attrsets and lib.trivial.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; }) holds throws tuples;
  lists = tuples 3 [ 1 2 3 ] ++ tuples 2 [ 1 2 ] ++ [ [ ] ];
  is = expr: expected: { inherit expr expected; };
in
{
  takeDrop = holds (
    l:
    lib.all (
      n:
      lib.take n l ++ lib.drop n l == l
      && lib.dropEnd n l ++ lib.takeEnd n l == l
      && lib.sublist n 9 l == lib.drop n l
    ) [ 0 1 2 3 4 ]
  ) lists;
  folds = holds (
    l:
    lib.foldr (x: acc: [ x ] ++ acc) [ ] l == l
    && lib.foldl (acc: x: acc ++ [ x ]) [ ] l == l
    && lib.reverseList (lib.reverseList l) == l
    && lib.length (lib.unique l) == lib.length (lib.attrNames (lib.groupBy toString l))
  ) lists;
  sorted = holds (
    l: lib.sortOn (x: -x) l == lib.reverseList (lib.sort (a: b: a < b) l)
  ) lists;
  found = holds (
    l:
    lib.findFirst (x: x == 2) null l == (if lib.elem 2 l then 2 else null)
    && lib.count (x: x == 2) l + lib.length (lib.remove 2 l) == lib.length l
  ) lists;
  found20000 = is (lib.lists.findFirstIndex (x: x == 19999) null (lib.range 0 20000)) 19999;
  natural = is (lib.naturalSort [ "disk11" "disk8" "disk100" "disk9" ]) [
    "disk8"
    "disk9"
    "disk11"
    "disk100"
  ];
  topo = is [
    (lib.toposort (a: b: a < b) [ 3 2 1 ])
    (lib.toposort (a: b: true) [ 1 2 ] ? cycle)
  ] [ { result = [ 1 2 3 ]; } true ];
  zip = is (lib.zipLists [ 1 2 ] [ "a" ]) [ { fst = 1; snd = "a"; } ];
  product = is (lib.mapCartesianProduct ({ a, b }: a + b) { a = [ 1 2 ]; b = [ 10 20 ]; }) [ 11 21 12 22 ];
  empty = is (map throws [ (lib.last [ ]) (lib.init [ ]) ]) [ true true ];

  byPath = holds (
    path:
    let
      set = lib.setAttrByPath path 1;
    in
    lib.getAttrFromPath path set == 1
    && lib.attrByPath (path ++ [ "x" ]) null set == null
    && lib.hasAttrByPath path set
    && lib.mapAttrsToListRecursive (p: v: { inherit p v; }) set == [ { p = path; v = 1; } ]
  ) (tuples 3 [ "a" "b.c" ]);
  recursive = is [
    (lib.recursiveUpdate { a.b = 1; a.c = 1; d = 1; } { a.b = 2; d.e = 2; })
    (lib.filterAttrsRecursive (n: v: v != null) { a = null; b.c = null; b.d = 1; })
    (lib.mapAttrsRecursive (p: v: lib.concatStringsSep "." p) { a.b = 1; })
    (lib.collect lib.isInt { a = 1; b.c = 2; d = "x"; })
  ] [
    { a.b = 2; a.c = 1; d.e = 2; }
    { b.d = 1; }
    { a.b = "a.b"; }
    [ 1 2 ]
  ];
  updates = is (lib.updateManyAttrsByPath [
    { path = [ "a" "b" ]; update = n: n + 1; }
    { path = [ "x" "y" ]; update = _: 0; }
  ] { a.b = 1; }) { a.b = 2; x.y = 0; };
  zipAttrs = is [
    (lib.zipAttrs [ { a = 1; } { a = 2; b = 3; } ])
    (lib.foldAttrs (x: acc: [ x ] ++ acc) [ ] [ { a = 1; } { a = 2; b = 3; } ])
    (lib.mergeAttrsList [ { a = 1; } { a = 2; } { b = 3; } ])
    (lib.concatMapAttrs (n: v: { ${n} = v; all = v; }) { a = 1; b = 2; })
  ] [
    { a = [ 1 2 ]; b = [ 3 ]; }
    { a = [ 1 2 ]; b = [ 3 ]; }
    { a = 2; b = 3; }
    { a = 1; b = 2; all = 2; }
  ];
  attributes = is [
    (lib.mapAttrs' (n: v: lib.nameValuePair "x${n}" v) { a = 1; })
    (lib.genAttrs [ "a" ] (n: n + n))
    (lib.attrsToList { a = 1; })
    (lib.overrideExisting { a = 1; b = 2; } { b = 3; c = 4; })
    (lib.matchAttrs { a.b = 1; } { a.b = 1; a.c = 2; })
  ] [
    { xa = 1; }
    { a = "aa"; }
    [ { name = "a"; value = 1; } ]
    { a = 1; b = 3; }
    true
  ];
  outputs =
    let
      pkg = { type = "derivation"; outPath = "/p"; bin = { outPath = "/p-bin"; }; meta.mainProgram = "run"; };
    in
    is [ "${lib.getBin pkg}" (lib.getExe pkg) (lib.getExe' pkg "other") "${lib.getLib pkg}" ] [
      "/p-bin"
      "/p-bin/bin/run"
      "/p-bin/bin/other"
      "/p"
    ];

  functions = is [
    (lib.pipe 1 [ (x: x + 1) toString ])
    (lib.functionArgs (lib.setFunctionArgs (x: x) { a = true; }))
    (lib.isFunction { __functor = _: x: x; })
    ((lib.toFunction 5) null)
    (lib.mod (-7) 3)
    (lib.bitNot 0)
  ] [ "2" { a = true; } true 5 (-1) (-1) ];
  overridable =
    let
      f = lib.makeOverridable ({ a, b ? 1 }: { sum = a + b; });
      r = f { a = 1; };
    in
    is [ r.sum (r.override { b = 5; }).sum (r.override (old: { a = old.a + 1; })).sum ] [ 2 6 3 ];
  callPackage = is ((lib.callPackageWith { a = 1; c = 3; } ({ a, b ? 2 }: { s = a + b; }) { b = 4; }).s) 5;
  extensible =
    let
      e = lib.makeExtensible (self: { a = 1; b = self.a + 1; });
    in
    is [ e.b (e.extend (final: prev: { a = prev.a + 10; })).b ] [ 2 12 ];
  snippets = is (lib.textClosureMap lib.id {
    a = lib.stringAfter [ "b" ] "A";
    b = lib.noDepEntry "B";
  } [ "a" "b" ]) "B\nA";
  subpaths = is [
    (lib.path.subpath.join [ "a/./b" "c/" ])
    (lib.path.subpath.isValid "../x")
    (lib.path.removePrefix /a /a/b)
    (lib.path.hasPrefix /a /ab)
  ] [ "./a/b/c" false "./b" false ];
}
