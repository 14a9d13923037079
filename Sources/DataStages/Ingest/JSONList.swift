import Files

/// The elements of a JSON list in a file.
///
/// Where the list cannot be parsed as a whole, each is parsed by itself: one with a number that is too
/// large, or with a key twice, costs no other. One that is no JSON costs all.
enum JSONList {
  /// - Throws: what is wrong with the list, if it is cut off or no element can be parsed
  static func elements(_ path: String) throws -> [Result<JSON, RowRejection>] {
    do {
      let json = try JSON(contentsOf: path, dialect: .python, mayHaveMark: true)
      guard let elements = json.array else {
        throw SourceError.malformed(
          path: path,
          reason: "\(json.kind), expected a list of records, [{...}, {...}], or one record "
            + "per line; if it contains such a list: jq '.NAME' IN > OUT")
      }
      return elements.map { .success($0) }
    } catch let error as JSONError {
      guard case .syntax = error else { throw error }
      let bytes = try RegularFile(path: path).readAll()
      let elements = (slices(of: bytes) ?? []).map(element)
      guard elements.contains(where: { $0.hasValue }), !elements.contains(where: { $0.isBroken })
      else { throw error }
      return elements.map(\.row)
    }
  }

  /// What the bytes of one element give.
  private struct Element {
    let row: Result<JSON, RowRejection>
    /// Whether it is no JSON, so that brackets and quotation marks may not tell where it ends.
    var isBroken = false

    var hasValue: Bool { (try? row.get()) != nil }
  }

  private static func element(_ slice: Slice) -> Element {
    do {
      return Element(row: .success(try JSON(parsing: Array(slice.bytes), dialect: .python)))
    } catch {
      guard case .syntax(_, let line, let column, let problem) = error else {
        return Element(row: .failure(RowRejection(nil, "unreadable-record", "\(error)")))
      }
      let place =
        "line \(slice.line + line - 1), column \(line == 1 ? slice.column + column - 1 : column)"
      return Element(
        row: .failure(RowRejection(nil, "unreadable-record", "\(place): \(problem)")),
        isBroken: !error.isOfOneValue)
    }
  }

  /// An element's bytes, and where in the file they begin, counted from 1.
  private struct Slice {
    let bytes: ArraySlice<UInt8>
    let line: Int
    let column: Int
  }

  /// Returns the elements, told apart by brackets, commas and quotation marks alone; nil if the list does not end
  /// with the file.
  private static func slices(of bytes: [UInt8]) -> [Slice]? {
    var slices: [Slice] = []
    var depth = 0
    var (start, startLine, startColumn) = (0, 1, 1)
    var (line, column) = (1, 1)
    var (isInString, isEscaped) = (false, false)
    func begin(after index: Int) { (start, startLine, startColumn) = (index + 1, line, column + 1) }
    func end(at index: Int) {
      slices.append(Slice(bytes: bytes[start..<index], line: startLine, column: startColumn))
    }
    for (index, byte) in bytes.enumerated() {
      defer {
        // Columns are counted in scalars, as an editor does.
        if byte == UInt8(ascii: "\n") {
          (line, column) = (line + 1, 1)
        } else if byte & 0xc0 != 0x80 {
          column += 1
        }
      }
      if isInString {
        isInString = isEscaped || byte != UInt8(ascii: "\"")
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        guard depth == 1 else { break }
        guard byte == UInt8(ascii: "[") else { return nil }
        begin(after: index)
      case UInt8(ascii: ",") where depth == 1:
        end(at: index)
        begin(after: index)
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        depth -= 1
        guard depth == 0 else { break }
        end(at: index)
        let rest = bytes[(index + 1)...]
        return rest.allSatisfy { " \t\r\n".utf8.contains($0) } ? slices : nil
      default: break
      }
    }
    return nil
  }
}
