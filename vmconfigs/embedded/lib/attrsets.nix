# Attribute sets.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    concatMap
    elemAt
    filter
    head
    isAttrs
    length
    listToAttrs
    mapAttrs
    zipAttrsWith
    ;
  inherit (lib.lists) foldr foldl take;
in
rec {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    isAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    zipAttrsWith
    ;

  nameValuePair = name: value: { inherit name value; };
  optionalAttrs = cond: set: if cond then set else { };

  # Paths: lists of names.
  attrByPath =
    path: default:
    let
      end = length path;
      from =
        n: value:
        if n == end then
          value
        else
          let
            name = elemAt path n;
          in
          if value ? ${name} then from (n + 1) value.${name} else default;
    in
    from 0;
  hasAttrByPath =
    path:
    let
      end = length path;
      from = n: value: n == end || (value ? ${elemAt path n} && from (n + 1) value.${elemAt path n});
    in
    from 0;
  longestValidPathPrefix =
    path:
    let
      end = length path;
      from =
        n: value:
        if n < end && value ? ${elemAt path n} then
          from (n + 1) value.${elemAt path n}
        else
          take n path;
    in
    from 0;
  setAttrByPath = path: value: foldr (name: inner: { ${name} = inner; }) value path;
  getAttrFromPath =
    path: attrByPath path (abort "cannot find attribute '${builtins.concatStringsSep "." path}'");
  showAttrPath =
    path:
    if path == [ ] then
      "<root attribute path>"
    else
      lib.strings.concatMapStringsSep "." lib.strings.escapeNixIdentifier path;
  # updates: list of { path, update }, `update` gets the old value.
  updateManyAttrsByPath =
    let
      apply =
        depth: given: value: updates:
        let
          parts = builtins.partition (u: length u.path == depth) updates;
          deeper = builtins.groupBy (u: elemAt u.path depth) parts.wrong;
          old =
            if parts.wrong != [ ] then
              inner
            else if given then
              value
            else
              throw "updateManyAttrsByPath: Path '${showAttrPath (head parts.right).path}' does not exist in the given value, but the first update to this path tries to access the existing value.";
          inner =
            if !given then
              mapAttrs (_: apply (depth + 1) false null) deeper
            else if isAttrs value then
              value // mapAttrs (name: apply (depth + 1) (value ? ${name}) value.${name}) deeper
            else
              let
                path = (head parts.wrong).path;
              in
              throw "updateManyAttrsByPath: Path '${showAttrPath path}' needs to be updated, but path '${showAttrPath (take depth path)}' of the given value is not an attribute set, so we can't update an attribute inside of it.";
        in
        foldl (acc: u: u.update acc) old parts.right;
    in
    updates: value: apply 0 true value updates;

  attrVals = names: set: map (name: set.${name}) names;
  getAttrs = names: set: genAttrs names (name: set.${name});
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  genAttrs' = list: f: listToAttrs (map f list);
  attrsToList = mapAttrsToList nameValuePair;
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  mapAttrsToList = f: set: attrValues (mapAttrs f set);
  # Where two results have the same name, the later one (by input name) wins.
  concatMapAttrs = f: set: mergeAttrsList (mapAttrsToList f set);
  mapAttrsRecursive = mapAttrsRecursiveCond (_: true);
  mapAttrsRecursiveCond =
    descend: f:
    let
      at =
        path:
        mapAttrs (
          name: value:
          let
            here = path ++ [ name ];
          in
          if isAttrs value && descend value then at here value else f here value
        );
    in
    at [ ];
  mapAttrsToListRecursive = mapAttrsToListRecursiveCond (_: _: true);
  mapAttrsToListRecursiveCond =
    descend: f:
    let
      at =
        path: set:
        concatMap (
          name:
          let
            here = path ++ [ name ];
            value = set.${name};
          in
          if isAttrs value && descend here value then at here value else [ (f here value) ]
        ) (attrNames set);
    in
    at [ ];

  filterAttrs =
    keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
  filterAttrsRecursive =
    keep: set:
    mapAttrs (_: value: if isAttrs value then filterAttrsRecursive keep value else value) (
      filterAttrs keep set
    );
  foldlAttrs =
    f: nul: set:
    lib.lists.foldl' (acc: name: f acc name set.${name}) nul (attrNames set);
  foldAttrs =
    f: nul: sets:
    zipAttrsWith (_: foldr f nul) sets;
  collect =
    pred: value:
    if pred value then
      [ value ]
    else if isAttrs value then
      concatMap (collect pred) (attrValues value)
    else
      [ ];
  cartesianProduct =
    lists:
    builtins.foldl' (
      sets: name: concatMap (set: map (value: set // { ${name} = value; }) lists.${name}) sets
    ) [ { } ] (attrNames lists);
  mapCartesianProduct = f: lists: map f (cartesianProduct lists);

  zipAttrsWithNames =
    names: f: sets:
    genAttrs names (name: f name (catAttrs name sets));
  zipAttrs = zipAttrsWith (_: values: values);
  # By halves: `//` copies, so folding from the left would be quadratic.
  mergeAttrsList =
    sets:
    let
      between =
        start: end:
        if end - start == 1 then
          elemAt sets start
        else
          let
            middle = (start + end) / 2;
          in
          between start middle // between middle end;
    in
    if sets == [ ] then { } else between 0 (length sets);
  recursiveUpdateUntil =
    stop: old: new:
    let
      at =
        path:
        zipAttrsWith (
          name: values:
          let
            here = path ++ [ name ];
          in
          if length values == 1 || stop here (elemAt values 1) (head values) then
            head values
          else
            at here values
        );
    in
    at [ ] [
      new
      old
    ];
  recursiveUpdate = recursiveUpdateUntil (_: old: new: !(isAttrs old && isAttrs new));
  overrideExisting = old: new: mapAttrs (name: value: new.${name} or value) old;
  unionOfDisjoint =
    a: b:
    let
      both = builtins.intersectAttrs a b;
      names = builtins.concatStringsSep " " (attrNames both);
    in
    a
    // b
    // mapAttrs (name: _: throw "unionOfDisjoint: collision on ${name}; complete list: ${names}") both;
  # Does `set` have everything `pattern` has?
  matchAttrs =
    pattern: set:
    assert isAttrs pattern;
    builtins.all (
      name:
      set ? ${name}
      && (
        let
          want = pattern.${name};
          have = set.${name};
        in
        want == have || (isAttrs want && isAttrs have && matchAttrs want have)
      )
    ) (attrNames pattern);

  # Packages and their outputs.
  isDerivation = value: value.type or null == "derivation";
  # A package out of a store path. The path is taken at its word, it need not
  # be in the store of the evaluating machine.
  toDerivation =
    path:
    let
      self = {
        type = "derivation";
        name = lib.strings.sanitizeDerivationName (builtins.substring 33 (-1) (baseNameOf path));
        outPath = if builtins.isPath path then "${path}" else toString path;
        outputs = [ "out" ];
        out = self;
        outputName = "out";
      };
    in
    self;
  getOutput =
    output: pkg: if pkg.outputSpecified or false then pkg else pkg.${output} or pkg.out or pkg;
  getFirstOutput =
    candidates: pkg:
    let
      found = filter (name: pkg ? ${name}) candidates;
    in
    if pkg.outputSpecified or false || found == [ ] then pkg else pkg.${head found};
  getBin = getOutput "bin";
  getLib = getOutput "lib";
  getDev = getOutput "dev";
  getMan = getOutput "man";
  getStatic = getFirstOutput [
    "static"
    "lib"
    "out"
  ];
  getInclude = getFirstOutput [
    "include"
    "dev"
    "out"
  ];
  chooseDevOutputs = map getDev;
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
}
