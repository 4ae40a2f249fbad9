# lib.gvariant: values of dconf and GSettings as text with their types
# (https://docs.gtk.org/glib/gvariant-text-format.html).
{ lib }:
let
  inherit (lib)
    concatMapStrings
    concatMapStringsSep
    concatStrings
    escape
    head
    replaceStrings
    ;

  self = {
    type = {
      arrayOf = t: "a${t}";
      maybeOf = t: "m${t}";
      tupleOf = ts: "(${concatStrings ts})";
      dictionaryEntryOf = nameType: valueType: "{${nameType}${valueType}}";
      string = "s";
      boolean = "b";
      uchar = "y";
      int16 = "n";
      uint16 = "q";
      int32 = "i";
      uint32 = "u";
      int64 = "x";
      uint64 = "t";
      double = "d";
      variant = "v";
    };

    isGVariant = v: v._type or "" == "gvariant";

    intConstructors = [
      { name = "mkInt32"; type = self.type.int32; }
      { name = "mkUint32"; type = self.type.uint32; }
      { name = "mkInt64"; type = self.type.int64; }
      { name = "mkUint64"; type = self.type.uint64; }
      { name = "mkInt16"; type = self.type.int16; }
      { name = "mkUint16"; type = self.type.uint16; }
      { name = "mkUchar"; type = self.type.uchar; }
    ];

    mkValue =
      v:
      if self.isGVariant v then
        v
      else if lib.isInt v then
        throw ''
          The GVariant type for number “${toString v}” is unclear.
          Please wrap the value with one of the following, depending on the value type in GSettings schema:

          ${concatMapStringsSep "\n" (
            { name, type }: "- `lib.gvariant.${name}` for `${type}`"
          ) self.intConstructors}
        ''
      else if lib.isBool v then
        self.mkBoolean v
      else if lib.isFloat v then
        self.mkDouble v
      else if lib.isString v then
        self.mkString v
      else if lib.isList v then
        self.mkArray v
      else if lib.isAttrs v && v._type or "" == "lib.gvariant.mkDictionaryEntry" then
        v
      else
        throw "The GVariant type of “${builtins.typeOf v}” can't be inferred.";

    mkArray =
      elems:
      let
        values = map self.mkValue (if elems == [ ] then throw "Please create empty array with mkEmptyArray." else elems);
        elementType = lib.throwIfNot (lib.all (v: v.type == (head values).type) values)
          "Elements in a list should have same type."
          (head values).type;
      in
      primitive (self.type.arrayOf elementType) values (
        v: "@${self.type.arrayOf elementType} [${concatMapStringsSep "," toString v}]"
      );

    mkEmptyArray =
      elemType: primitive (self.type.arrayOf elemType) [ ] (_: "@${self.type.arrayOf elemType} []");

    mkVariant =
      elem:
      let
        value = self.mkValue elem;
      in
      primitive self.type.variant value (v: "<${toString v}>");

    mkDictionaryEntry =
      name: value:
      let
        key = self.mkValue name;
        content = self.mkValue value;
      in
      primitive (self.type.dictionaryEntryOf key.type content.type) { inherit name value; } (
        _: "@${self.type.dictionaryEntryOf key.type content.type} {${toString key},${toString content}}"
      );

    mkMaybe = elemType: elem: primitive (self.type.maybeOf elemType) elem (
      v: if v == null then "@${self.type.maybeOf elemType} nothing" else "just ${toString v}"
    );
    mkNothing = elemType: self.mkMaybe elemType null;
    mkJust =
      elem:
      let
        value = self.mkValue elem;
      in
      self.mkMaybe value.type value;

    mkTuple =
      elems:
      let
        values = map self.mkValue elems;
      in
      primitive (self.type.tupleOf (map (v: v.type) values)) values (
        v: "@${self.type.tupleOf (map (e: e.type) values)} (${concatMapStringsSep "," toString v})"
      );

    mkBoolean = v: primitive self.type.boolean v lib.boolToString;
    mkString =
      v:
      primitive self.type.string v (
        text: "'${replaceStrings [ "\n" ] [ "\\n" ] (escape [ "'" "\\" ] text)}'"
      );
    mkObjectpath = v: primitive self.type.string v (text: "objectpath '${escape [ "'" ] text}'");
    mkUchar = number "uchar";
    mkInt16 = number "int16";
    mkUint16 = number "uint16";
    mkInt32 = v: primitive self.type.int32 v toString;
    mkUint32 = number "uint32";
    mkInt64 = number "int64";
    mkUint64 = number "uint64";
    mkDouble = v: primitive self.type.double v toString;
  };

  number = type: v: primitive self.type.${type} v (n: "@${self.type.${type}} ${toString n}");

  primitive = type: value: text: {
    _type = "gvariant";
    inherit type value;
    __toString = v: text v.value;
  };
in
self
