import Files
import TestSupport
import Testing

@Suite struct JSONParserTests {
  static let readValues: [(String, JSON)] = [
    ("null", JSON.null), (" true ", true), ("\tfalse\r\n", false),
    ("0", 0), ("-1", -1), ("9223372036854775807", .integer(.max)),
    ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .unsigned(1 << 63)),
    ("18446744073709551615", .unsigned(.max)), ("1.0", .number(1)), ("1e2", .number(100)),
    ("-2.5E-1", .number(-0.25)), ("1e-999", .number(0)),
    ("1000000000000000019884624838656", .number(1e30)),
    ("\"\"", ""), (#""a\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{c}\n\r\t"),
    (#""\u00e9\u20AC\uD834\uDD1E""#, "é€𝄞"), (#""\u0000""#, "\0"), ("\"é€𝄞\u{7f}\"", "é€𝄞\u{7f}"),
    ("[]", []), ("[1,[2],{}]", [1, [2], [:]]),
    (#"{"b":1,"a":{"":null}}"#, ["b": 1, "a": ["": nil]]),
  ]

  @Test(
    "values mean what they say",
    arguments: readValues)
  func values(text: String, value: JSON) throws {
    #expect(try JSON(parsing: text) == value)
    #expect(try JSON(parsing: text, dialect: .json5) == value)
    #expect(try JSON(parsing: value.text()) == value)
    #expect(try JSON(parsing: value.text(.pretty)) == value)
  }

  @Test("minus zero keeps its sign")
  func minusZero() throws {
    #expect(try JSON(parsing: "-0").double?.sign == .minus)
    #expect(try JSON(parsing: "-0.0").text() == "-0.0")
  }

  @Test(
    "what is no value in either dialect is refused where it is wrong",
    arguments: [
      ("", 1, 1, "end of the text"), (" \n", 2, 1, "end of the text"), ("[1", 1, 3, "expected"),
      ("[1 2]", 1, 4, "expected"), ("[,1]", 1, 2, "expected a value"), ("{\"a\" 1}", 1, 6, "':'"),
      ("{\"a\":}", 1, 6, "expected a value"), ("{1:2}", 1, 2, "key"), ("tru", 1, 1, "value"),
      ("True", 1, 1, "value"), ("1 1", 1, 3, "after the value"), ("{}\u{0}", 1, 3, "U+0"),
      ("01", 1, 1, "leading zero"), ("-", 1, 2, "digit"), ("1e", 1, 3, "digit"),
      ("1e+", 1, 4, "digit"), ("1e999", 1, 1, "too large"), ("-1e999", 1, 1, "too large"),
      ("123456789012345678901", 1, 1, "64 bits"), ("-9223372036854775809", 1, 1, "64 bits"),
      ("NaN", 1, 4, "NaN"), ("-Infinity", 1, 1, "NaN"), ("[\"a\u{0A}b\"]", 1, 4, "backslash"),
      ("\"a", 1, 1, "unterminated"), (#""a\"#, 1, 4, "ends"), (#""\uD800""#, 1, 2, "surrogate"),
      (#""\uD800\u0041""#, 1, 2, "surrogate"), (#""\uDC00\uD800""#, 1, 2, "surrogate"),
      (#""\u12""#, 1, 2, "hexadecimal"), (#""\u+123""#, 1, 2, "hexadecimal"),
      ("{\"a\":1,\n \"a\":2}", 2, 2, "duplicate"), ("{\"é\":1,\"\\u00e9\":2}", 1, 8, "duplicate"),
      ("\"é\" x", 1, 5, "after the value"),
    ])
  func refusals(text: String, line: Int, column: Int, problem: String) throws {
    for dialect in [JSONDialect.json, .json5] {
      let error = #expect(throws: JSONError.self) {
        try JSON(parsing: text, dialect: dialect, source: "x.json")
      }
      let description = error?.description ?? ""
      if dialect == .json { #expect(description.hasPrefix("x.json:\(line):\(column): ")) }
      #expect(description.contains(problem) || dialect == .json5, "\(description)")
    }
  }

  static let json5Values: [(String, JSON)] = [
    ("// a\n1 /* b */", JSON.integer(1)), ("[1,]", [1]), ("{a:1,}", ["a": 1]),
    ("{$_ü9: 'x'}", ["$_ü9": "x"]), ("'a\"b'", "a\"b"), ("0xFf", 255),
    ("-0x10", -16), ("0xFFFFFFFFFFFFFFFF", .unsigned(.max)), ("+1", 1), (".5", .number(0.5)),
    ("5.", .number(5)), ("-.5e1", .number(-5)), ("'\\x41\\v\\0\\q'", "A\u{B}\0q"),
    ("'a\\\nb\\\r\nc'", "abc"), ("'tab\there'", "tab\there"), ("\u{FEFF}1\u{A0}\u{2028}\u{B}", 1),
    ("{null: 1, true: 2}", ["null": 1, "true": 2]),
  ]

  @Test(
    "numbers as Python's json writes them",
    arguments: [
      ("-Infinity", -.infinity), ("Infinity", .infinity), ("18446744073709551621", 0x1p64),
      ("-1000000000000000000000000000000000000000000", -1e42),
    ] as [(String, Double)])
  func pythonNumbers(text: String, value: Double) throws {
    #expect(try JSON(parsing: text, dialect: .python).double == value)
    #expect(throws: JSONError.self) { try JSON(parsing: text) }
    let isNone = try JSON(parsing: "[NaN]", dialect: .python)[0]?.double?.isNaN
    #expect(isNone == true)
    #expect(throws: JSONError.self) { try JSON(parsing: "{a: 1}", dialect: .python) }
  }

  @Test(
    "JSON refuses what only JSON5 allows, and JSON5 reads it",
    arguments: json5Values)
  func dialects(text: String, value: JSON) throws {
    #expect(throws: JSONError.self) { try JSON(parsing: text) }
    #expect(try JSON(parsing: text, dialect: .json5) == value)
  }

  @Test(
    "JSON5 has its limits too",
    arguments: [
      "[,]", "{,}", "[1,,]", "{a b}", "{a-b: 1}", "/* open", "/ 1", "+", ".", "-.", "1.e", "0x",
      "'\\1'",
      "'\\01'", "'\\xg0'", "{\"a\"}", "+Infinity", "0x1FFFFFFFFFFFFFFFF", "01", "'a\nb'",
    ])
  func json5Refusals(text: String) {
    #expect(throws: JSONError.self) { try JSON(parsing: text, dialect: .json5) }
  }

  @Test("a byte order mark, invalid UTF-8 and control characters are refused")
  func encoding() {
    let texts: [([UInt8], String)] = [
      ([0xEF, 0xBB, 0xBF, 0x31], "byte order mark"),
      ([0x22, 0x61, 0xFF, 0x22], "1:3: the text is not valid UTF-8"),
      ([0x22, 0xC0, 0x80, 0x22], "not valid UTF-8"), ([0x22, 0xED, 0xA0, 0x80, 0x22], "not valid"),
      ([0x22, 0xE2, 0x82], "not valid UTF-8"), ([0x22, 0x00, 0x22], "U+0"),
      ([0x22, 0x1F, 0x22], "U+1F"), ([0x22, 0x09, 0x22], "U+9"),
    ]
    for (bytes, problem) in texts {
      let error = #expect(throws: JSONError.self) { try JSON(parsing: bytes) }
      #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }
  }

  @Test("64 brackets may be open, not one more, however many there are")
  func depth() throws {
    func nested(_ count: Int) -> String {
      String(repeating: "[", count: count) + String(repeating: "]", count: count)
    }
    #expect(throws: Never.self) { try JSON(parsing: nested(64)) }
    for count in [65, 1_000_000] {
      let error = #expect(throws: JSONError.self) { try JSON(parsing: nested(count)) }
      #expect(error?.description.contains("1:65: brackets are nested more than 64") == true)
    }
    #expect(throws: JSONError.self) {
      try JSON(parsing: String(repeating: "{\"a\":", count: 100_000))
    }
  }

  @Test("keys that differ only in Unicode normalization are two keys")
  func normalization() throws {
    let json = try JSON(parsing: "{\"\u{e9}\":1,\"e\u{301}\":2}")
    #expect(json["\u{e9}"] == 1)
    #expect(json["e\u{301}"] == 2)
  }

  @Test("no change of single bytes makes the parser do anything but return or throw JSONError")
  func mutations() {
    let text = Array(#"{"a":[1,-2.5e3,"é\u00e9\n"],'b':{c:0x1F,},/*x*/"d":null}"#.utf8)
    for index in text.indices {
      for byte in UInt8.min...UInt8.max {
        var mutated = text
        mutated[index] = byte
        for dialect in [JSONDialect.json, .json5] {
          if let value = try? JSON(parsing: mutated, dialect: dialect) {
            #expect((try? JSON(parsing: value.text())) == value)
          }
        }
      }
      for dialect in [JSONDialect.json, .json5] {
        #expect(throws: JSONError.self) {
          try JSON(parsing: Array(text[..<index]), dialect: dialect)
        }
      }
    }
  }

  @Test("16 times the vocabulary takes about 16 times as long")
  func vocabulary() throws {
    func text(_ count: Int) -> [UInt8] {
      let members = (0..<count).map { "\"t\($0 &* 7919 % 65_536)é\($0)</w>\": \($0)" }
      return Array("{\(members.joined(separator: ", "))}".utf8)
    }
    var value = JSON.null
    let factor = try growth(from: text(49_408 / 16), to: text(49_408)) {
      value = try JSON(parsing: $0)
    }
    #expect(value.object?.count == 49_408)
    #expect(value["t7919é1</w>"] == 1)
    // A search for doubled keys that is quadratic would take 256 times as long.
    #expect(factor < 64)
  }
}
