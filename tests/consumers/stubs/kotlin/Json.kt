package org.json

class JSONArray {
    fun length(): Int = TODO()

    fun get(index: Int): Any = TODO()

    fun getDouble(index: Int): Double = TODO()

    fun getJSONArray(index: Int): JSONArray = TODO()

    fun getJSONObject(index: Int): JSONObject = TODO()
}

class JSONObject(json: String) {
    fun get(name: String): Any = TODO()

    fun getDouble(name: String): Double = TODO()

    fun getString(name: String): String = TODO()

    fun getJSONArray(name: String): JSONArray = TODO()

    fun getJSONObject(name: String): JSONObject = TODO()
}
