import Checkpoints
import CommandSyntax
import Diffusion
import Files

/// Inspects safetensors and torch files: models, LoRAs, shards, training checkpoints.
enum CheckpointInspector: FileInspector {
  static var kinds: String { "safetensors and torch files" }

  /// A torch file, or a header's length in 8 bytes, then its JSON.
  static func recognizes(head: [UInt8]) -> Bool {
    TorchCheckpoint.begins(head) || head.count > 8 && head[8] == UInt8(ascii: "{")
  }

  static func inspect(path: String, _ arguments: Arguments) throws -> InspectionReport {
    let file = try openCheckpoint(path)
    let kind = file is TorchCheckpoint ? "torch" : "safetensors"
    let elements = file.entries.reduce(0) { $0 + $1.elementCount }
    let types = Set(file.entries.map(\.type)).sorted().map(\.rawValue).joined(separator: ", ")
    var lines = [
      "\(path.printable): \(kind), \(Spelled.count(file.entries.count, of: "tensors")), "
        + "\(Spelled.count(elements, of: "elements"))" + (types.isEmpty ? "" : " (\(types))")
    ]
    let contents = Contents(file)
    lines += contents.lines.map { "  \($0.printable)" }
    var metadata = JSON.Object()
    let header = (file as? SafetensorsFile)?.metadata ?? [:]
    lines += Provenance(header: header)?.sentences.map { "  \($0.printable)" } ?? []
    for (key, value) in header.sorted(by: { $0.key < $1.key }) {
      metadata[key] = .string(value)
      guard !Provenance.tells(key) else { continue }
      lines.append("  \(key.printable) = \(String(value.prefix(80)).printable)")
    }
    let withDigests = arguments.has("digest")
    var tensors: [JSON] = []
    for entry in file.entries {
      var tensor = JSON.Object()
      tensor["name"] = .string(entry.name)
      tensor["dtype"] = .string(entry.type.rawValue)
      tensor["shape"] = .array(entry.shape.map { .integer($0) })
      var line = "  \(entry.name.printable): \(entry.type.rawValue) \(entry.shape)"
      if withDigests {
        let digest = SHA256.hexDigest(of: try file.bytes(entry.name))
        tensor["sha256"] = .string(digest)
        line += ", sha256 \(digest)"
      }
      tensors.append(.object(tensor))
      if withDigests || arguments.has("tensors") { lines.append(line) }
    }
    let json: JSON = [
      "kind": .string(kind), "contents": .array(contents.lines.map { .string($0) }),
      "metadata": .object(metadata), "tensors": .array(tensors),
    ]
    return InspectionReport(
      json: json, text: lines.joined(separator: "\n"), problems: contents.problems)
  }

  /// The kind of the tensors, from their names.
  struct Contents {
    private(set) var lines: [String] = []
    var problems: [any Error] = []
    private(set) var isLoRA = false

    init() {}

    init(_ file: any CheckpointSource) {
      if let model = try? LDMCheckpoint(file) {
        lines = [
          "a model in the original layout: \(model.name)"
            + (model.hasAutoencoder ? "" : ", without a VAE (name one with --vae)")
        ]
        problems = ModelFolder(path: file.path).problems()
        return
      }
      problems = file.nonFinite()
      if let (key, kind) = LoRAFile.foreignKind(in: file) {
        lines = ["\(kind) (tensor \(key)), which spo does not read; LoRA, LoCon and DoRA it does"]
      } else if file.entries.contains(where: { LoRAFile.isKey($0.name) }) {
        do {
          let lora = try LoRAFile(path: file.path)
          lines = try lora.summaries().map { "LoRA: \($0)" }
          isLoRA = true
          if problems.isEmpty, try lora.changesNothing() {
            lines.append("\(LoRAError.changesNothing(path: file.path))")
          }
        } catch let error as LoRAError where error.isOfOtherContents {
          lines = ["not read as a LoRA: \(error)"]
        } catch  where problems.isEmpty || FailureKind(error) != .notFinite {
          problems.append(error)
        } catch {}
      }
    }
  }
}
