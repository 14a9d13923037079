import Files

/// Rows of fields separated by commas or tabs (RFC 4180): a quoted field may contain the separator,
/// line breaks and doubled quotes.
///
/// A quote within an unquoted field is an ordinary character.
struct DelimitedText {
  /// A row with the number, from 1, of the line that it begins in.
  struct Row: Equatable {
    let line: Int
    let fields: [String]
  }

  let rows: [Row]

  /// - Parameter path: the path in messages
  init(_ text: String, separator: Unicode.Scalar, path: String) throws(PromptListError) {
    var rows: [Row] = []
    var fields: [String] = []
    var field = String.UnicodeScalarView()
    var line = 1
    var rowLine = 1
    // The start of the current quoted field; nil outside.
    var quoteLine: Int?
    var wasQuoted = false
    func isEmpty() -> Bool { fields.isEmpty && field.isEmpty && !wasQuoted }
    func endField() {
      fields.append(String(field))
      field = .init()
      wasQuoted = false
    }
    func endRow() {
      // Empty lines are skipped.
      if !isEmpty() {
        endField()
        rows.append(Row(line: rowLine, fields: fields))
        fields = []
      }
      rowLine = line
    }
    var scalars = text.unicodeScalars[...]
    while let scalar = scalars.popFirst() {
      if quoteLine != nil {
        if scalar == "\n" { line += 1 }
        if scalar != "\"" {
          field.append(scalar)
        } else if scalars.first == "\"" {
          field.append(scalars.removeFirst())
        } else {
          quoteLine = nil
        }
        continue
      }
      switch scalar {
      case "\"" where field.isEmpty && !wasQuoted:
        quoteLine = line
        wasQuoted = true
      case separator: endField()
      case "\r" where scalars.first == "\n" || scalars.isEmpty: break
      case "\n":
        line += 1
        endRow()
      default: field.append(scalar)
      }
    }
    if let quoteLine { throw .openQuote(path: path, line: quoteLine) }
    endRow()
    self.rows = rows
  }
}
