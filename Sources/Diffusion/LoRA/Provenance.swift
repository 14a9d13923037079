import Files
import Foundation

/// The origin of a LoRA or a merged model, as recorded in its file's header.
///
/// The keys begin with `spo_`: programs that load LoRA files look at the names of tensors and at
/// keys of their own (`ss_*`, `sshs_*`, `modelspec.*`, `lora_adapter_metadata`) and ignore these.
/// Nothing in it varies from run to run, so equal results are equal files.
public struct Provenance: Equatable, Sendable {
  /// The values by key, without ``prefix``.
  private var values: [String: String]

  static let prefix = "spo_"
  private static let digestEnding = "_sha256"

  /// Creates the provenance of an exported LoRA.
  ///
  /// - Parameters:
  ///   - stage: the stage that trained it
  ///   - digests: SHA-256 digests of its inputs, by role: `data`, `model` and so on
  ///   - settings: the settings of the stage, as a JSON object
  public init(stage: String, digests: [String: String], settings: String) {
    values = ["stage": stage, "settings": settings]
    for (name, digest) in digests { values[name + Self.digestEnding] = digest }
    values["settings" + Self.digestEnding] = SHA256.hexDigest(of: Array(settings.utf8))
  }

  /// Reads the provenance in a file's header; nil if there is none.
  public init?(header: [String: String]) {
    values = [:]
    for (key, value) in header where key.hasPrefix(Self.prefix) {
      values[String(key.dropFirst(Self.prefix.count))] = value
    }
    if values.isEmpty { return nil }
  }

  /// Whether a header key is covered by ``sentences``.
  public static func tells(_ key: String) -> Bool { key.hasPrefix(prefix) }

  /// Combines the provenance of LoRA files that are exported together: that of a single one is its
  /// header's.
  ///
  /// - Parameter scales: the scale of each file
  public init(of loras: [LoRAFile], scales: [Float]) throws {
    values = loras.count == 1 ? Provenance(header: loras[0].header)?.values ?? [:] : [:]
    values["lora" + Self.digestEnding] = try loras.map {
      try SHA256.digest(of: RegularFile(path: $0.path)).hexadecimal
    }.joined(separator: ", ")
    guard scales.contains(where: { $0 != 1 }) else { return }
    values["lora_scale"] = scales.map { "\($0)" }.joined(separator: ", ")
  }

  /// SHA-256 of everything in it.
  public var digest: String {
    let lines = values.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    return SHA256.hexDigest(of: Array(lines.joined(separator: "\n").utf8))
  }

  /// Returns the header keys and values of a file written now.
  ///
  /// - Throws: ``SourceDate/Failure``
  func pairs() throws -> [String: String] {
    var values = values
    values["version"] = ProgramVersion.current
    values["date"] = try SourceDate.current()
    return Dictionary(uniqueKeysWithValues: values.map { (Self.prefix + $0.key, $0.value) })
  }

  /// Rejects a date that no header could hold, before there is anything to write.
  ///
  /// - Throws: ``SourceDate/Failure``
  public static func checkDate() throws { _ = try SourceDate.current() }

  // MARK: - Words

  /// The subjects of the digests, in display order.
  private static let subjects = [
    ("data", "the data that it was trained on"), ("model", "the model that it was trained on"),
    ("vae", "the VAE that replaced the model's"), ("preference", "the preference model"),
    ("start", "the LoRA that training started from"),
    ("lora", "the LoRA file that this was made from"),
    ("settings", "the settings"),
  ]

  /// Everything in it, one fact per sentence.
  public var sentences: [String] {
    var sentences: [String] = []
    if let version = values["version"] {
      sentences.append(
        "Written by spo \(version)" + (values["date"].map { " on \($0)" } ?? "") + ".")
    }
    if let stage = values["stage"] { sentences.append("Trained by stage \(stage).") }
    for (name, subject) in Self.subjects {
      guard let digest = values[name + Self.digestEnding] else { continue }
      sentences.append("SHA-256 of \(subject): \(digest).")
    }
    if let scale = values["lora_scale"] { sentences.append("The LoRA scale was \(scale).") }
    if let settings = values["settings"] { sentences.append("The settings were \(settings).") }
    return sentences
  }
}

/// The date written into files: the user's choice, since the clock would make equal results differ.
///
/// - Source: `SOURCE_DATE_EPOCH` as reproducible-builds.org specifies it
enum SourceDate {
  static let variable = "SOURCE_DATE_EPOCH"

  struct Failure: ClassifiedError, Equatable, CustomStringConvertible {
    let text: String
    var kind: FailureKind { .usage }
    var description: String {
      "\(SourceDate.variable) must be seconds since 1970, but is \"\(text)\"; correct or unset it"
    }
  }

  /// Returns the date in UTC by ISO 8601; nil if the variable is not set.
  static func current(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(Failure) -> String? {
    guard let text = environment[variable] else { return nil }
    // Up to the end of the year 9999.
    guard let seconds = Int(text), (0...253_402_300_799).contains(seconds) else {
      throw Failure(text: text)
    }
    return Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
  }
}
