public import Files

/// An obstacle to running a part or merging parts.
public enum PartError: ClassifiedError, Equatable, CustomStringConvertible {
  case notDivisible(stage: String, known: [String])
  /// `reasons`: why the stage is not done
  case notDone(stage: String, wantedBy: String, reasons: [String])
  /// A result that only an ordinary run can bring up to date.
  case needsRun(stage: String, reasons: [String])
  /// Something else under a part's name.
  case notFile(path: String)
  case damaged(path: String, offset: Int, reason: String)
  /// An output that does not fit its item.
  case badOutput(path: String, offset: Int, reason: String)
  case otherSettings(path: String, changes: [String])
  case conflict(path: String, other: String, position: Int)
  /// Outputs that match none of the stage's inputs any more. `again`: the parts to run, in job
  /// array notation; nil: there are no parts
  case unused(stage: String, count: Int, folder: String)
  case incomplete(stage: String, missing: Int, total: Int, again: String?, count: Int)

  public var kind: FailureKind {
    switch self {
    case .notDivisible: .usage
    case .notFile, .damaged, .badOutput: .input
    case .notDone, .needsRun, .otherSettings, .conflict, .unused, .incomplete: .other
    }
  }

  public var description: String {
    switch self {
    case .notDivisible(let stage, let known):
      "stage \(stage) cannot be divided into parts; these can: \(known.joined(separator: ", "))"
    case .notDone(let stage, let wanting, let reasons):
      "stage \(wanting) cannot start: stage \(stage) is not done (\(Self.joined(reasons))); run it first "
        + "with --through \(stage), or merge its parts"
    case .needsRun(let stage, let reasons):
      "stage \(stage) has no items to divide (\(Self.joined(reasons))); run it with --through \(stage) and "
        + "without --partition"
    case .notFile(let path):
      "\(path): not a regular file; move it away and run that part again"
    case .damaged(let path, let offset, let reason):
      "\(path): damaged at byte \(offset): \(reason); move the file away and run that part again"
    case .badOutput(let path, let offset, let reason):
      "\(path): the record at byte \(offset) does not match its item: \(reason); move the file away and run that "
        + "part again"
    case .otherSettings(let path, let changes):
      "\(path): made with different settings or inputs (\(Self.joined(changes))); run with those, or remove the "
        + "file and run that part again"
    case .conflict(let path, let other, let position):
      "\(path) and \(other) have different bytes for item \(position + 1); find out which machine computes "
        + "wrongly, remove its file and run that part again"
    case .unused(let stage, let count, let folder):
      "parts of stage \(stage) hold \(Spelled.count(count, of: "items")) of sources that were removed or changed "
        + "since; restore them, or remove \(folder) and run the parts again"
    case .incomplete(_, let missing, let total, nil, _):
      "\(missing) of \(total) items are missing, as no part has run; run the parts with --partition I/N, "
        + "or run without --merge"
    case .incomplete(let stage, let missing, let total, let again?, let count):
      "\(missing) of \(total) items of stage \(stage) are missing; run again with --partition auto/\(count) "
        + "and --array=\(again), or without --merge to compute them here"
    }
  }

  private static func joined(_ reasons: [String]) -> String {
    reasons.prefix(3).joined(separator: "; ")
      + (reasons.count > 3 ? "; and \(reasons.count - 3) more" : "")
  }
}

extension [Int] {
  /// Numbers in ascending order in job array notation: `3,7-9`.
  package var asArray: String {
    var ranges: [ClosedRange<Int>] = []
    for number in self {
      if let last = ranges.last, number == last.upperBound + 1 {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ",")
  }
}
