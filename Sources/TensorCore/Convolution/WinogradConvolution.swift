import HostResources

/// The source of a convolution's transformed kernel.
enum WinogradKernel {
  /// Cached between calls: for few channels, where it stays in a CPU cache.
  case kept(WinogradPanels)
  /// Recomputed for every panel: next to the products of many channels that costs little, and it
  /// saves four times the memory of the weights.
  case made(from: PanelSource)
}

/// A 3x3 convolution with stride 1 by ``Winograd``'s tiles.
struct WinogradConvolution {
  let tiles: WinogradTiles
  let input: UnsafePointer<Float>
  /// Pixels of `paddedChannels`.
  let output: UnsafeMutablePointer<Float>
  /// The bias of each output channel, padded to whole vectors.
  let bias: UnsafePointer<Float>

  func run(_ kernel: WinogradKernel) {
    switch kernel {
    case .kept(let panels): runOwnTiles(panels)
    case .made(let source): runSharedTiles(source)
    }
  }

  /// Each thread takes some tiles through all steps.
  private func runOwnTiles(_ panels: WinogradPanels) {
    let form = panels.source.form
    let size = tiles.ownSize(form)
    let memory = tiles.ownMemory(form)
    let blocks = (tiles.count + size - 1) / size
    let channels = 0..<tiles.inputChannels
    let work = size * tiles.form.planes * tiles.inputChannels * tiles.outputChannels
    parallelBlocks(blocks, work: work) { range in
      let planes = WinogradPlanes(memory.inputs)
      let products = WinogradPlanes(memory.products)
      let scratch = WinogradScratch(form, channels: memory.scratchChannels)
      for block in range {
        let members = block * size..<min(tiles.count, (block + 1) * size)
        transformInput(members, first: members.lowerBound, into: planes, scratch)
        for panel in 0..<panels.source.panelCount {
          let width = panels.source.width(panel)
          for plane in 0..<tiles.form.planes {
            multiply(
              plane, planes, channels, panels.pointer(panel) + plane * channels.count * width,
              width: width, into: products,
              count: members.count, scratch)
          }
          transformProducts(members, panel, width: width, products, scratch)
        }
      }
    }
  }

  /// The threads share the transformed tiles; each takes some output channels through all steps.
  private func runSharedTiles(_ source: PanelSource) {
    let form = source.form
    let size = tiles.sharedSize(form)
    let planes = WinogradPlanes(tiles.sharedInputs(form))
    let panelsAtOnce = tiles.panelsAtOnce(form, of: source.panelCount)
    for start in stride(from: 0, to: tiles.count, by: size) {
      let members = start..<min(tiles.count, start + size)
      parallelBlocks(members.count, work: 250 * tiles.inputChannels) { range in
        let scratch = WinogradScratch(form, channels: tiles.inputChannels)
        transformInput(
          start + range.lowerBound..<start + range.upperBound, first: start, into: planes, scratch)
      }
      parallelItems((source.panelCount + panelsAtOnce - 1) / panelsAtOnce) { group in
        let first = group * panelsAtOnce
        multiplyPanels(
          first..<min(first + panelsAtOnce, source.panelCount), of: source, members, planes)
      }
    }
  }

  private func multiplyPanels(
    _ panels: Range<Int>, of source: PanelSource, _ members: Range<Int>, _ planes: WinogradPlanes
  ) {
    let form = source.form
    let channelsAtOnce = tiles.channelsAtOnce(form)
    let memory = tiles.panelMemory(form, tileCount: members.count, panels: panels.count)
    let kernel = WinogradPlanes(memory.kernel)
    let products = panels.map { _ in WinogradPlanes(memory.products) }
    let scratch = WinogradScratch(form, channels: form.columns)
    for channel in stride(from: 0, to: tiles.inputChannels, by: channelsAtOnce) {
      let channels = channel..<min(channel + channelsAtOnce, tiles.inputChannels)
      WinogradPanels.fill(
        kernel.pointer, planeStride: kernel.stride, panels, channels, of: source, tiles.form)
      for plane in 0..<tiles.form.planes {
        for (slot, panel) in panels.enumerated() {
          let part =
            kernel.pointer + plane * kernel.stride
            + slot * channels.count * form.columns
          multiply(
            plane, planes, channels, part, width: source.width(panel), into: products[slot],
            count: members.count, scratch)
        }
      }
    }
    for (slot, panel) in panels.enumerated() {
      transformProducts(members, panel, width: source.width(panel), products[slot], scratch)
    }
  }

  private func transformInput(
    _ members: Range<Int>, first: Int, into planes: WinogradPlanes, _ scratch: WinogradScratch
  ) {
    for tile in members {
      tiles.locateInput(
        tile, in: input, outside: scratch.zeros.pointer, into: scratch.pixels)
      tiles.form.transformInput(
        scratch, channels: tiles.inputChannels,
        into: planes.pointer + (tile - first) * tiles.inputChannels,
        planeStride: planes.stride)
    }
  }

  /// Multiplies one plane of some tiles with the part of the kernel that belongs to `channels`.
  ///
  /// The first channels initialize the products, later ones are added.
  private func multiply(
    _ plane: Int, _ planes: WinogradPlanes, _ channels: Range<Int>,
    _ kernel: UnsafePointer<Float>, width: Int, into products: WinogradPlanes, count: Int,
    _ scratch: WinogradScratch
  ) {
    scratch.worker.multiply(
      planes.pointer + tiles.form.inputPlane(plane) * planes.stride + channels.lowerBound,
      leftStride: tiles.inputChannels, rows: count, inner: channels.count, kernel,
      panelStride: width, width: width, into: products.pointer + plane * products.stride,
      outputStride: width, isAdding: channels.lowerBound > 0)
  }

  private func transformProducts(
    _ members: Range<Int>, _ panel: Int, width: Int, _ products: WinogradPlanes,
    _ scratch: WinogradScratch
  ) {
    let column = panel * scratch.worker.form.columns
    for (slot, tile) in members.enumerated() {
      tiles.locateOutput(
        tile, in: output + column, outside: scratch.unused.pointer, into: scratch.pixels)
      tiles.form.transformProducts(
        products.pointer + slot * width, planeStride: products.stride, channels: width,
        bias: bias + column, scratch)
    }
  }
}

/// The size of some transformed tiles, `[planes, tiles, channels]` with gaps between the planes.
struct WinogradPlanesSize {
  let stride: Int
  let count: Int

  init(_ planes: Int, tiles: Int, channels: Int) {
    // Planes a power of two apart would share a few lines of the first-level cache: 16 more floats
    // shift each by one line.
    stride = tiles * channels + 16
    count = planes * stride
  }
}

/// Memory for some transformed tiles.
struct WinogradPlanes {
  let storage: HostMemory
  let stride: Int

  init(_ size: WinogradPlanesSize) {
    stride = size.stride
    storage = HostMemory(count: size.count)
  }

  var pointer: UnsafeMutablePointer<Float> { storage.pointer }
}

/// A transformed kernel in panels `[planes, inputChannels, width]`.
struct WinogradPanels {
  let source: PanelSource
  private let storage: HostMemory
  private let panelCount: Int

  init(_ source: PanelSource, _ form: WinogradForm) {
    self.source = source
    let rows = source.rows / 9
    panelCount = form.planes * rows * source.form.columns
    storage = HostMemory(count: Self.count(form, rows: rows, source.paddedColumns))
    for panel in 0..<source.panelCount {
      Self.fill(
        pointer(panel), planeStride: rows * source.width(panel), panel..<panel + 1, 0..<rows,
        of: source, form)
    }
  }

  /// The floats of all panels.
  static func count(_ form: WinogradForm, rows: Int, _ paddedColumns: Int) -> Int {
    form.planes * rows * paddedColumns
  }

  func pointer(_ panel: Int) -> UnsafeMutablePointer<Float> {
    storage.pointer + panel * panelCount
  }

  /// The size of the largest transformed kernel that is cached: 4.7 MB, for 128 and 256 channels.
  static let largestKept = Winograd.planes << 15

  /// Whether the transformed kernel is cached.
  static func isSmall(_ source: PanelSource) -> Bool {
    isSmall(rows: source.rows / 9, paddedColumns: source.paddedColumns)
  }

  static func isSmall(rows: Int, paddedColumns: Int) -> Bool {
    Winograd.planes * rows * paddedColumns <= largestKept
  }

  /// The size of the part of a kernel from which panels are made.
  static func weightsSize(channels: Int, width: Int) -> WinogradPlanesSize {
    WinogradPlanesSize(9, tiles: channels, channels: width)
  }

  static let scratchChannels = 8

  /// Writes the part of some panels that belongs to some input channels.
  ///
  /// Each of the planes gets one panel `[channels, width]` after the other.
  static func fill(
    _ target: UnsafeMutablePointer<Float>, planeStride: Int, _ panels: Range<Int>,
    _ channels: Range<Int>, of source: PanelSource, _ form: WinogradForm
  ) {
    let rows = source.rows / 9
    let columns = source.columns(panels)
    let width = columns.count
    let weights = WinogradPlanes(weightsSize(channels: channels.count, width: width))
    let weightStride = weights.stride
    for element in 0..<9 {
      let first = element * rows
      source.copy(
        columns, rows: first + channels.lowerBound..<first + channels.upperBound,
        into: weights.pointer + element * weightStride)
    }
    let panelColumns = source.form.columns
    let scratch = WinogradScratch(source.form, channels: scratchChannels)
    for row in 0..<channels.count {
      for column in stride(from: 0, to: width, by: 8) {
        let slot = column / panelColumns
        let panel = target + slot * channels.count * panelColumns
        let panelWidth = min(panelColumns, width - slot * panelColumns)
        form.transformKernel(
          weights.pointer + row * width + column, kernelStride: weightStride,
          into: panel + row * panelWidth + column % panelColumns,
          planeStride: planeStride, scratch)
      }
    }
  }
}

func convolveByWinograd(
  _ input: UnsafePointer<Float>, _ kernel: WinogradKernel, bias: UnsafePointer<Float>?,
  into output: UnsafeMutablePointer<Float>, _ tiles: WinogradTiles
) {
  let bias = paddedBias(bias, channels: tiles.outputChannels)
  guard tiles.paddedChannels > tiles.outputChannels else {
    return WinogradConvolution(tiles: tiles, input: input, output: output, bias: bias.pointer)
      .run(kernel)
  }
  let padded = HostMemory(count: tiles.pixelCount * tiles.paddedChannels)
  WinogradConvolution(tiles: tiles, input: input, output: padded.pointer, bias: bias.pointer)
    .run(kernel)
  copyRows(
    padded.pointer, inputStride: tiles.paddedChannels, into: output,
    outputStride: tiles.outputChannels, rows: tiles.pixelCount, width: tiles.outputChannels)
}
