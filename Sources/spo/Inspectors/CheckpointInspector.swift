import Checkpoints
import Diffusion
import Files

/// Files of safetensors and of torch: models, LoRAs, shards, checkpoints of training.
enum CheckpointInspector: FileInspector {
  static var kinds: String { "safetensors and torch files" }

  /// A file of torch, or a header's length in 8 bytes, then its JSON.
  static func recognizes(head: [UInt8]) -> Bool {
    TorchCheckpoint.begins(head) || head.count > 8 && head[8] == UInt8(ascii: "{")
  }

  static func inspect(path: String, withDigests: Bool) throws -> InspectionReport {
    let file = try openCheckpoint(path)
    let kind = file is TorchCheckpoint ? "torch" : "safetensors"
    let elements = file.entries.reduce(0) { $0 + $1.elementCount }
    var lines = [
      "\(path.printable): \(kind), \(Spelled.count(file.entries.count)) tensors, "
        + "\(Spelled.count(elements)) elements"
    ]
    let isLoRA = file.entries.contains { LoRAFile.isKey($0.name) }
    if isLoRA, let lora = try? LoRAFile(path: path) { lines.append("  LoRA: \(lora.summary)") }
    var metadata = JSON.Object()
    let header = (file as? SafetensorsFile)?.metadata ?? [:]
    lines += Provenance(header: header)?.sentences.map { "  \($0.printable)" } ?? []
    for (key, value) in header.sorted(by: { $0.key < $1.key }) {
      metadata[key] = .string(value)
      guard !Provenance.tells(key) else { continue }
      lines.append("  \(key.printable) = \(String(value.prefix(80)).printable)")
    }
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
      lines.append(line)
    }
    let json: JSON = [
      "kind": .string(kind), "metadata": .object(metadata), "tensors": .array(tensors),
    ]
    return InspectionReport(json: json, text: lines.joined(separator: "\n"))
  }
}
