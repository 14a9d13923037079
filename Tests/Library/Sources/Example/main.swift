import Checkpoints
import Diffusion
import Parquet
import RandomStreams

// Example TABLE.parquet MODEL: the captions of a table, the tensors of a U-Net, and an image.
let (table, model) = (CommandLine.arguments[1], CommandLine.arguments[2])

let file = try ParquetFile(path: table)
let captions = try ColumnCursor(file, column: file.requiredColumn(named: "caption"))
var prompt = ""
for rowGroup in file.rowGroups.indices {
  try captions.open(rowGroup: rowGroup)
  while try captions.advance() { prompt = try captions.text() ?? prompt }
}
print("the last caption: \(prompt)")

let weights = try SafetensorsFile(path: "\(model)/unet/diffusion_pytorch_model.safetensors")
print("\(weights.entries.count) tensors, \(weights.entries.reduce(0) { $0 + $1.byteCount }) bytes")

var request = TextToImage.Request(prompt: prompt)
request.steps = 10
// The noise of torch.Generator("cpu").manual_seed(7).
var noise = TorchCPUGenerator(seed: 7)
let image = try TextToImage(ModelFolder(path: model))(request, source: &noise)
print("an image of shape \(image.shape), its first red \(image.values[0])")
