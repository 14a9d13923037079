public import Files

/// An error that stops a pipeline before or between its items.
public enum PipelineError: ClassifiedError, Equatable, CustomStringConvertible {
  /// A key of the pipeline file that nothing reads.
  case unknownSetting(path: String, nearest: String?, known: [String])
  /// A setting with an unusable value.
  case badSetting(path: String, reason: String)
  /// A `--set` without a key or value.
  case badOverride(String)
  case unknownStage(name: String, nearest: String?, known: [String])
  /// A stage reads what no earlier stage of the pipeline writes.
  case noProducer(stage: String, artifact: String)
  case twoProducers(artifact: String, stages: [String])
  /// A stage was begun on one device and would continue on another.
  case otherDevice(stage: String, begun: String, now: String)
  case workspaceInUse(path: String, holder: String)
  /// `example`: one of the reasons, if known.
  case tooManyRejections(stage: String, rejected: Int, total: Int, limit: Double, example: String?)
  /// A record or checkpoint whose content differs from what was written.
  case damaged(path: String, reason: String)
  /// An input of a stage that is not what it should be.
  case unusableInput(path: String, reason: String)
  /// A path in a setting that does not exist.
  case missingInput(setting: String, path: String)
  /// The disk has too little space for what is to be written to `path`.
  case noSpace(path: String, what: String, byteCount: Int, free: Int)
  /// The pipeline file is not JSON5, or its own keys are missing or of another type.
  case malformedFile(JSONError)
  /// A failed system call; `code` is its `errno`.
  case system(operation: String, path: String, code: Int32)

  public var kind: FailureKind {
    switch self {
    case .unknownSetting, .badSetting, .badOverride, .unknownStage, .noProducer, .twoProducers,
      .malformedFile, .otherDevice:
      .settings
    case .workspaceInUse: .busy
    case .tooManyRejections, .damaged, .unusableInput, .missingInput: .input
    case .noSpace: .space
    case .system(_, _, let code): FailureKind(systemError: code)
    }
  }

  public var description: String {
    switch self {
    case .unknownSetting(let path, let nearest, let known):
      "\(path): unknown setting; \(Self.suggestion(nearest, known))"
    case .badSetting(let path, let reason): "\(path): \(reason)"
    case .missingInput(let setting, let path):
      "\(setting): \(path) does not exist; "
        + (HubName.remedy(path) ?? "put it there, or give its path") + ": --set \(setting)=PATH"
        + (path.hasPrefix("/") ? "" : " (paths start at the current folder; ~ is not expanded)")
    case .badOverride(let text):
      "--set \(text): expected stage.key=value, such as encode.batch=8, or key=value"
    case .unknownStage(let name, let nearest, let known):
      "unknown stage \"\(name)\"; \(Self.suggestion(nearest, known))"
    case .noProducer(let stage, let artifact):
      "stage \"\(stage)\" needs the \(artifact), which no earlier stage of the pipeline produces; "
        + "add that stage or point the settings at a file"
    case .twoProducers(let artifact, let stages):
      "the \(artifact) would be produced by \(stages.joined(separator: " and by ")); keep only one of them"
    case .otherDevice(let stage, let begun, let now):
      "stage \"\(stage)\" was started on \(begun), but this is \(now), whose results differ in the last bits; continue there, "
        + "restart it with --force \(stage), or mix both with --set may_change_device=true"
    case .workspaceInUse(let path, let holder):
      "\(path): in use by \(holder); wait until it ends or choose another workspace"
    case .tooManyRejections(let stage, let rejected, let total, let limit, let example):
      "\(stage): \(rejected) of \(total) were rejected, more than the fraction of \(limit) that "
        + "\(stage).max_reject_fraction allows\(example.map { ", such as \($0.printable)" } ?? ""); "
        + (rejected == total ? "fix the data" : "fix the data or raise the limit")
    case .damaged(let path, let reason): "\(path): damaged: \(reason)"
    case .unusableInput(let path, let reason): "\(path): \(reason)"
    case .noSpace(let path, let what, let byteCount, let free):
      "\(path): no space for the \(what): it needs \(ByteCount.text(byteCount)), but only "
        + "\(ByteCount.text(free)) is free; free some space or choose another workspace"
    case .malformedFile(let error): error.description
    case .system(let operation, let path, let code):
      FileError.system(operation: operation, path: path, code: code).description
    }
  }

  private static func suggestion(_ nearest: String?, _ known: [String]) -> String {
    if let nearest { return "did you mean \"\(nearest)\"?" }
    return known.isEmpty ? "none are available here" : "available: \(known.joined(separator: ", "))"
  }
}
