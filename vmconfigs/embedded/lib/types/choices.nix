# Types that are one of several others.
{ lib }:
let
  inherit (builtins)
    elemAt
    filter
    foldl'
    head
    length
    tail
    ;
  inherit (lib.options)
    getFiles
    mergeOneOption
    showDefs
    showFiles
    showOption
    ;
  inherit (lib.types)
    checkedMerge
    defaultFunctor
    elemTypeFunctor
    headErrorOf
    mkOptionType
    nounOrConjunction
    optionDescriptionPhrase
    v2Check
    v2Merge
    ;
  isNoun = class: class == "noun";
in
rec {
  nullOr =
    elemType:
    mkOptionType {
      name = "nullOr";
      description = "null or ${optionDescriptionPhrase nounOrConjunction elemType}";
      descriptionClass = "conjunction";
      check = x: x == null || elemType.check x;
      merge =
        loc: defs:
        let
          nulls = filter (def: def.value == null) defs;
        in
        if nulls == [ ] then
          elemType.merge loc defs
        else if length nulls == length defs then
          null
        else
          throw "The option `${showOption loc}` is defined both null and not null, in ${showFiles (getFiles defs)}.";
      emptyValue.value = null;
      inherit (elemType) getSubOptions getSubModules;
      substSubModules = m: nullOr (elemType.substSubModules m);
      functor = elemTypeFunctor "nullOr" { inherit elemType; } // {
        type = payload: lib.types.nullOr payload.elemType;
      };
      nestedTypes.elemType = elemType;
    };

  either =
    a: b:
    let
      functor = elemTypeFunctor "either" {
        elemType = [
          a
          b
        ];
      };
      wide = class: nounOrConjunction class || class == "composite";
    in
    mkOptionType {
      name = "either";
      description =
        if a.descriptionClass or null == "nonRestrictiveClause" then
          "${a.description}, or ${optionDescriptionPhrase nounOrConjunction b}"
        else
          "${optionDescriptionPhrase nounOrConjunction a} or ${optionDescriptionPhrase wide b}";
      descriptionClass = "conjunction";
      check = v2Check (x: a.check x || b.check x);
      merge = v2Merge (
        { loc, defs }:
        let
          asA = checkedMerge a loc defs;
          asB = checkedMerge b loc defs;
          headError.message = "The option `${showOption loc}` is neither a value of type `${a.description}` nor `${b.description}`, Definition values: ${showDefs defs}";
        in
        if asA.headError == null then
          asA
        else if asB.headError == null then
          asB
        else
          {
            inherit headError;
            valueMeta = { inherit headError; };
            # Reached where a merge is used without its check.
            value = lib.trivial.warn ''
              One or more definitions did not pass the type-check of the 'either' type.
              ${headError.message}
              If `either`, `oneOf` or similar is used in freeformType, ensure that it is preceded by an 'attrsOf' such as: `freeformType = types.attrsOf (types.either t1 t2)`.
              Otherwise consider using the correct type for the option `${showOption loc}`.  This will be an error in Nixpkgs 26.05.
            '' (mergeOneOption loc defs);
          }
      );
      typeMerge =
        other:
        let
          of = n: type: type.typeMerge (elemAt other.payload.elemType n).functor;
          a' = of 0 a;
          b' = of 1 b;
        in
        if other.name == "either" && a' != null && b' != null then functor.type a' b' else null;
      inherit functor;
      nestedTypes = {
        left = a;
        right = b;
      };
    };
  oneOf =
    types:
    if types == [ ] then
      throw "types.oneOf needs to get at least one type in its argument"
    else
      foldl' either (head types) (tail types);

  # A value of finalType, or of coercedType and then converted.
  coercedTo =
    coercedType: convert: finalType:
    let
      check = v2Check (x: (coercedType.check x && finalType.check (convert x)) || finalType.check x);
      # Decided one by one: definitions may be of either type.
      converted =
        loc: def:
        let
          fits =
            if coercedType.merge ? v2 then
              (checkedMerge coercedType loc [ def ]).headError == null
            else
              coercedType.check def.value;
        in
        def // { value = if fits then convert def.value else def.value; };
    in
    if coercedType.getSubModules != null then
      throw "coercedTo: coercedType must not have submodules (it’s a ${coercedType.description})"
    else
      mkOptionType {
        name = "coercedTo";
        description = "${optionDescriptionPhrase isNoun finalType} or ${optionDescriptionPhrase isNoun coercedType} convertible to it";
        inherit check;
        merge = v2Merge (
          { loc, defs }:
          let
            final = map (converted loc) defs;
          in
          if finalType.merge ? v2 then
            checkedMerge finalType loc final
          else
            {
              value = finalType.merge loc final;
              valueMeta = { };
              headError = headErrorOf check defs;
            }
        );
        inherit (finalType) emptyValue getSubOptions getSubModules;
        substSubModules = m: coercedTo coercedType convert (finalType.substSubModules m);
        typeMerge = _: null;
        functor = defaultFunctor "coercedTo";
        nestedTypes = {
          inherit coercedType finalType;
        };
      };

  # What a format of data can hold.
  serializableValueWith =
    {
      typeName,
      nullable ? true,
    }:
    let
      inherit (lib.types)
        attrsOf
        bool
        float
        int
        listOf
        path
        str
        ;
      base = oneOf [
        bool
        int
        float
        str
        path
        (attrsOf value)
        (listOf value)
      ];
      value = (if nullable then nullOr base else base) // {
        description = "${typeName} value";
      };
    in
    value;
  json = serializableValueWith { typeName = "JSON"; };
  toml = serializableValueWith {
    typeName = "TOML";
    nullable = false;
  };
}
