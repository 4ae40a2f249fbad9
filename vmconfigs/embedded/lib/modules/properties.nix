# Properties: the wrappers that say under which condition, with which priority
# and in which order a definition counts; and how they are taken off again.
{ lib }:
let
  inherit (builtins)
    concatMap
    foldl'
    head
    isAttrs
    isBool
    length
    mapAttrs
    sort
    stringLength
    substring
    unsafeGetAttrPos
    ;

  tag = value: value._type or "";

  library = toString ../.;
  inside = folder: file: substring 0 (stringLength folder + 1) file == folder + "/";
in
rec {
  # Where the member `name` of a set stands: { file, line, column }. Where Nix
  # does not know, and where it is this library that made the set (setAttrByPath,
  # genAttrs, …), it stands where the set does.
  positionOf =
    name: set: outside:
    let
      pos = unsafeGetAttrPos name set;
      ours = inside library pos.file && !inside "${library}/tests" pos.file;
    in
    if pos == null || ours then outside else pos;

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkAssert =
    assertion: message:
    mkIf (if assertion then true else throw "\nFailed assertion: ${message}");
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  # A definition that says itself in which file it stands.
  mkDefinition = definition@{ file, value, ... }: definition // { _type = "definition"; };

  # The least number wins.
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  defaultOverridePriority = 100;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkFixStrictness = lib.trivial.warn "lib.mkFixStrictness has no effect and will be removed. It returns its argument unmodified, so you can just remove any calls." (
    x: x
  );

  # The least number comes first.
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  defaultOrderPriority = 1000;
  mkAfter = mkOrder 1500;

  # Properties around an attribute set, pushed down to its members. A branch
  # is { attrs, wrap }: the set as it was written (so that the positions of its
  # attributes survive) and what to put around each member (null: nothing).
  branches =
    let
      around =
        wrap: value:
        let
          type = tag value;
          outer = property: if wrap == null then property else member: wrap (property member);
        in
        if type == "merge" then
          concatMap (around wrap) value.contents
        else if type == "if" then
          around (outer (mkIf value.condition)) value.content
        else if type == "override" then
          around (outer (mkOverride value.priority)) value.content
        else
          [
            {
              attrs = value;
              inherit wrap;
            }
          ];
    in
    around null;
  pushDownProperties =
    value:
    map (
      branch:
      if branch.wrap != null && isAttrs branch.attrs then
        mapAttrs (_: branch.wrap) branch.attrs
      else
        branch.attrs
    ) (branches value);

  # mkMerge and mkIf taken off: a list of values.
  dischargeProperties =
    value:
    let
      type = tag value;
    in
    if type == "merge" then
      concatMap dischargeProperties value.contents
    else if type == "if" then
      if isBool value.condition then
        (if value.condition then dischargeProperties value.content else [ ])
      else
        throw "‘mkIf’ called with a non-Boolean condition"
    else
      [ value ];

  # mkOverride: priority of a definition, and the definition without it. An
  # override made by an alias knows where the aliased definition stands.
  priorityOf =
    def: if def.value._type or "" == "override" then def.value.priority else defaultOverridePriority;
  withoutPriority =
    def:
    if def.value._type or "" != "override" then
      def
    else
      def
      // {
        value = def.value.content;
        ${if def.value ? origin then "pos" else null} = def.value.origin;
      };
  filterOverrides' =
    defs:
    if length defs == 1 then
      {
        values = map withoutPriority defs;
        highestPrio = priorityOf (head defs);
      }
    else
      let
        highestPrio = foldl' (
          least: def:
          let
            priority = priorityOf def;
          in
          if priority < least then priority else least
        ) 9999 defs;
      in
      {
        inherit highestPrio;
        values = concatMap (
          def: if priorityOf def == highestPrio then [ (withoutPriority def) ] else [ ]
        ) defs;
      };
  filterOverrides = defs: (filterOverrides' defs).values;

  # mkOrder taken off, and the definitions in that order.
  sortProperties =
    defs:
    sort (a: b: (a.priority or defaultOrderPriority) < (b.priority or defaultOrderPriority)) (
      map (
        def:
        if def.value._type or "" == "order" then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def
      ) defs
    );

  # Apply f to the value inside of all properties.
  mapDefinitionValue =
    f: value:
    let
      type = tag value;
      into = mapDefinitionValue f;
    in
    if type == "merge" then
      value // { contents = map into value.contents; }
    else if type == "if" || type == "override" || type == "order" then
      value // { content = into value.content; }
    else if type == "definition" then
      value // { value = into value.value; }
    else
      f value;
}
