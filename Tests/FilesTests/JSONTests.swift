import Files
import TestSupport
import Testing

@Suite struct JSONTests {
  @Test("members keep their order, whatever their number")
  func order() throws {
    for count in [3, 8, 9, 30] {
      var object = JSON.Object()
      for i in 0..<count { object["k\(count - i)"] = .integer(i) }
      object["k2"] = "two"
      object["new"] = nil
      object["k1"] = nil
      #expect(object.keys == (2...count).reversed().map { "k\($0)" })
      #expect(object["k2"] == "two")
      #expect(object["k1"] == nil)
      #expect(object["k3"] == .integer(count - 3))
      #expect(try JSON(parsing: JSON.object(object).text()) == .object(object))
    }
  }

  @Test("text is compact or indented, and the same every time")
  func text() {
    let value: JSON = [
      "b": [1, -2.5, .unsigned(.max), 1e-7, 100.0, nil], "a": ["x": [], "y": [:]],
      "s": "q\" \\ \n\r\t\u{8}\u{c}\u{1} é\u{7f}", "n": .number(.nan), "i": .number(.infinity),
    ]
    #expect(
      value.text() == #"{"b":[1,-2.5,18446744073709551615,1e-07,100.0,null],"a":{"x":[],"y":{}},"#
        + #""s":"q\" \\ \n\r\t\b\f\u0001 é"# + "\u{7f}" + #"","n":null,"i":null}"#)
    let pretty = """
      {
        "a": [
          1,
          true
        ],
        "b": {},
        "c": []
      }
      """
    #expect((["a": [1, true], "b": [:], "c": []] as JSON).text(.pretty) == pretty)
  }

  @Test(
    "every Double comes back as itself",
    arguments: [
      0.1, 1 / 3.0, 1e21, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .leastNormalMagnitude,
      123456789.5,
      1e15,
      1e16, 0x1.fffffffffffffp52, -0.0, .leastNormalMagnitude.nextDown,
    ])
  func doubles(value: Double) throws {
    #expect(try JSON(parsing: JSON.number(value).text()) == .number(value))
  }

  @Test("an integer is one however it was written")
  func wholeNumbers() throws {
    #expect(JSON.number(77).int == 77)
    #expect(JSON.number(77.5).int == nil)
    #expect(JSON.number(1e300).int == nil)
    #expect(JSON.unsigned(.max).int == nil)
    #expect(JSON.unsigned(.max).double == 0x1p64)
    #expect(JSON(UInt64(5)) == 5)
    #expect(JSON.bool(true).int == nil)
  }

  @Test("values are reached by key and index, and what is not there is nil")
  func subscripts() {
    let value: JSON = ["a": [10, ["b": "c"]]]
    #expect(value["a"]?[1]?["b"]?.string == "c")
    #expect(value["a"]?[2] == nil)
    #expect(value["a"]?[-1] == nil)
    #expect(value[0] == nil)
    #expect(value["a"]?["x"] == nil)
  }
}

@Suite struct JSONReaderTests {
  let reader = JSONReader(
    [
      "width": 512, "scale": 1, "name": "x", "heads": [5, 10], "act": nil,
      "text_config": ["layers": [["kind": "a"], ["kind": 2]]],
    ], path: "config.json")

  @Test("members are read by type, absent and null ones by their default")
  func reading() throws {
    #expect(try reader.int("width") == 512)
    #expect(try reader.int("height", default: 64) == 64)
    #expect(try reader.double("scale") == 1)
    #expect(try reader.string("act", default: "gelu") == "gelu")
    #expect(try reader.ints("heads") == [5, 10])
    #expect(try reader.bool("flag", default: true))
    #expect(try reader.strings("missing", default: []) == [])
    #expect(try reader["text_config"]["layers"].elements().first?.string("kind") == "a")
    #expect(try reader.members().map(\.key).first == "width")
    #expect(try reader.optional("act") == nil)
  }

  @Test("errors name the file, the path, what is needed and what is there")
  func errors() {
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return "no error"
    }
    #expect(
      message { _ = try reader["text_config"].int("hidden_size") }
        == "config.json: text_config.hidden_size is missing; found: layers")
    #expect(
      message { _ = try reader["text_config"]["layers"].elements()[1].string("kind") }
        == "config.json: text_config.layers[1].kind must be a string, but is 2")
    #expect(
      message { _ = try reader.ints("name") }
        == "config.json: name must be an array, but is \"x\"")
    #expect(
      message { _ = try reader.int("heads", default: 1) }
        == "config.json: heads must be an integer, but is an array")
    #expect(
      message { _ = try reader["name"].int("x") }
        == "config.json: name must be an object, but is \"x\"")
  }

  @Test("a file is read whole, within its size limit, and must hold an object")
  func files() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/config.json"
      try AtomicFile.replace(path, with: Array(#"{"a": 1}"#.utf8))
      #expect(try JSONReader(contentsOf: path).int("a") == 1)
      #expect(throws: JSONError.tooLarge(source: path, size: 8, limit: 7)) {
        try JSON(contentsOf: path, maximumSize: 7)
      }
      try AtomicFile.replace(path, with: Array("[1]".utf8))
      #expect(throws: JSONError.self) { try JSONReader(contentsOf: path) }
      #expect(throws: FileError.self) { try JSONReader(contentsOf: "\(folder)/none.json") }
      #expect(throws: FileError.isFolder(path: folder)) { try JSON(contentsOf: folder) }
    }
  }
}
