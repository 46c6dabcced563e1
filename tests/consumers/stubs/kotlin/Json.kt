package org.json

open class JSONException(message: String) : RuntimeException(message)

/** Reads and writes JSON as Android does, as far as the snippets need it. */
class JSONArray(private val items: List<Any?>) {
    constructor(items: Collection<*>) : this(items.toList())

    fun length(): Int = items.size

    fun get(index: Int): Any = items.getOrNull(index) ?: throw JSONException("no value at $index")

    fun getDouble(index: Int): Double = (get(index) as Number).toDouble()

    fun getInt(index: Int): Int = (get(index) as Number).toInt()

    fun getString(index: Int): String = get(index).toString()

    fun getJSONArray(index: Int): JSONArray = get(index).asA("a JSONArray")

    fun getJSONObject(index: Int): JSONObject = get(index).asA("a JSONObject")

    override fun toString(): String = items.joinToString(",", "[", "]") { text(it) }
}

class JSONObject(map: Map<*, *>) {
    private val members = LinkedHashMap<String, Any?>(map.mapKeys { it.key.toString() })

    constructor() : this(emptyMap<String, Any>())

    constructor(json: String) : this(Reader(json).whole().asA<JSONObject>("a JSONObject").members)

    fun put(name: String, value: Any): JSONObject = apply { members[name] = value }

    fun keys(): Iterator<String> = members.keys.iterator()

    fun get(name: String): Any = members[name] ?: throw JSONException("no value for $name")

    fun getDouble(name: String): Double = (get(name) as Number).toDouble()

    fun getString(name: String): String = get(name).toString()

    fun getJSONArray(name: String): JSONArray = get(name).asA("a JSONArray")

    fun getJSONObject(name: String): JSONObject = get(name).asA("a JSONObject")

    override fun toString(): String =
        members.entries.joinToString(",", "{", "}") { "${text(it.key)}:${text(it.value)}" }
}

private inline fun <reified T> Any?.asA(what: String): T =
    this as? T ?: throw JSONException("it is not $what")

private fun text(value: Any?): String {
    if (value !is String) return value.toString()
    val escaped = value.map { if (it < ' ' || it in "\"\\") "\\u%04x".format(it.code) else "$it" }
    return escaped.joinToString("", "\"", "\"")
}

private class Reader(private val json: String) {
    private var at = 0

    fun whole(): Any? = value().also { if (next() != null) fail() }

    private fun fail(): Nothing = throw JSONException("unexpected character at $at")

    private fun next(): Char? {
        while (json.getOrNull(at)?.isWhitespace() == true) at++
        return json.getOrNull(at)
    }

    private fun take(expected: Char) = if (next() == expected) at++ else fail()

    private fun value(): Any? = when (next()) {
        '{' -> JSONObject(members('}') { (string() to take(':')).first to value() }.toMap())
        '[' -> JSONArray(members(']') { value() })
        '"' -> string()
        else -> {
            val word = json.drop(at).takeWhile { it.isLetterOrDigit() || it in "+-." }
            at += word.length
            val constants = mapOf("null" to null, "true" to true, "false" to false)
            if (word in constants) constants[word] else word.toDoubleOrNull() ?: fail()
        }
    }

    private fun <T> members(end: Char, member: () -> T): List<T> {
        val found = mutableListOf<T>()
        at++
        while (next() != end) {
            if (found.isNotEmpty()) take(',')
            found += member()
        }
        at++
        return found
    }

    private fun string(): String {
        take('"')
        val found = StringBuilder()
        while (true) {
            when (val letter = json.getOrNull(at++) ?: fail()) {
                '"' -> return found.toString()
                '\\' -> when (val escaped = json.getOrNull(at++) ?: fail()) {
                    'u' -> found.append(json.substring(at, at + 4).toInt(16).toChar()).also { at += 4 }
                    else -> found.append("\b\u000c\n\r\t".getOrNull("bfnrt".indexOf(escaped)) ?: escaped)
                }
                else -> found.append(letter)
            }
        }
    }
}
