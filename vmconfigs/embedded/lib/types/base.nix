# What a type is, and how two types become one.
{ lib }:
let
  inherit (builtins) all filter;
  inherit (lib.options) mergeDefaultOption showDefs;
in
rec {
  isType = type: value: value._type or "" == type;
  setType = type: value: value // { _type = type; };
  isOptionType = isType "option-type";

  # A functor says how to make the type anew: { name, type, payload, binOp }.
  defaultFunctor = name: {
    inherit name;
    type = lib.types.${name} or null;
    payload = null;
    binOp = _: _: null;
  };
  # null: the types do not fit together.
  defaultTypeMerge =
    a: b:
    if a.name != b.name then
      null
    else
      assert (a.payload == null) == (b.payload == null);
      if a.payload == null then
        a.type
      else
        let
          payload = a.binOp a.payload b.payload;
        in
        if payload == null then null else a.type payload;
  elemTypeFunctor = name: payload: {
    inherit name payload;
    type = lib.types.${name};
    binOp =
      a: b:
      let
        elemType = a.elemType.typeMerge b.elemType.functor;
      in
      if elemType == null then null else { inherit elemType; };
  };
  mergeTypes =
    a: b:
    assert isOptionType a && isOptionType b;
    let
      merged = a.typeMerge b.functor;
    in
    if merged == null then setType "merge-error" { error = "Cannot merge types"; } else merged;

  mkOptionType =
    {
      name,
      description ? null,
      # "noun", "conjunction", "composite" or "nonRestrictiveClause": tells when
      # the description needs parentheses.
      descriptionClass ? null,
      # Looks at the outside of a value only: looking deeper costs laziness.
      check ? (_: true),
      # loc: definitions: value.
      merge ? mergeDefaultOption,
      # { value } where there is a value of nothing.
      emptyValue ? { },
      getSubOptions ? (_: { }),
      getSubModules ? null,
      substSubModules ? (_: null),
      typeMerge ? defaultTypeMerge functor,
      functor ? defaultFunctor name,
      deprecationMessage ? null,
      nestedTypes ? { },
    }:
    {
      _type = "option-type";
      inherit
        name
        descriptionClass
        check
        merge
        emptyValue
        getSubOptions
        getSubModules
        substSubModules
        typeMerge
        functor
        deprecationMessage
        nestedTypes
        ;
      description = if description == null then name else description;
    };

  # Description of a type inside of another one's.
  optionDescriptionPhrase =
    fits: type:
    if fits (type.descriptionClass or null) then type.description else "(${type.description})";
  nounOrComposite = class: class == "noun" || class == "composite";
  nounOrConjunction = class: class == "noun" || class == "conjunction";

  # Types whose merge also checks have a merge that is a function and has `v2`:
  # { loc, defs }: { headError, value, valueMeta }. The error is null or
  # { message }.
  v2Merge = v2: {
    __functor =
      self: loc: defs:
      (self.v2 { inherit loc defs; }).value;
    inherit v2;
  };
  v2Check = check: {
    __functor = _: check;
    isV2MergeCoherent = true;
  };
  headErrorOf =
    check: defs:
    if all (def: check def.value) defs then
      null
    else
      { message = "Definition values: ${showDefs (filter (def: !check def.value) defs)}"; };
  # The v2 result of any type.
  checkedMerge =
    type: loc: defs:
    if type.merge ? v2 then
      lib.modules.checkV2MergeCoherence loc type (type.merge.v2 { inherit loc defs; })
    else
      {
        value = type.merge loc defs;
        headError = headErrorOf type.check defs;
        valueMeta = { };
      };

  # Definitions of the members of a definition. Where a member has no known
  # position, and where the set was only built around it (`above`), it stands
  # where its set stands.
  memberDefinitions =
    def:
    let
      above = def.above or 0;
      outside = def.pos or null;
      member = name: value: {
        inherit (def) file;
        inherit value;
        pos = if above > 0 then outside else lib.modules.positionOf name def.value outside;
      };
    in
    builtins.mapAttrs (
      if above > 1 then name: value: member name value // { above = above - 1; } else member
    ) def.value;

  addCheck =
    type: check:
    type
    // (
      if type.merge ? v2 then
        {
          check = v2Check (value: type.check value && check value);
          merge = v2Merge (
            { loc, defs }:
            let
              result = checkedMerge type loc defs;
            in
            result
            // {
              headError = if result.headError != null then result.headError else headErrorOf check defs;
            }
          );
        }
      else
        { check = value: type.check value && check value; }
    );
}
